"""The study database: Optuna's own schema and a few tables of ours."""

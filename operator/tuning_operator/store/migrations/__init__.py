"""Alembic's environment for our own tables. Run by `tuning_operator.store.schema`, never by hand."""

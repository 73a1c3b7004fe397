"""Optuna's samplers, made anew for every ask. Imported by the search process only: it needs optuna.

A sampler's random numbers depend on how often it was asked, and the Gaussian process keeps a warm start from its last
fit. A new sampler for each trial, seeded by study and number, answers from the history alone: so a killed process can
be replaced by another, and a search can be replayed.
"""

from __future__ import annotations

from typing import Final

import optuna
from optuna.samplers import BaseSampler

from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search.problem import Problem

STARTUP_TRIALS: Final = 10
"""Random trials before a model is trusted: Optuna's default."""


def sampler(problem: Problem, number: int, *, baseline_trials: int) -> BaseSampler:
    """The sampler of one trial.

    Baseline trials repeat one configuration and teach next to nothing of the space, so they do not stand for random
    ones: the model starts that much later.
    """
    seed = derive_seed(problem.seed, "sampler", number)
    startup = STARTUP_TRIALS + baseline_trials
    match problem.sampler:
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        case "gp":
            _one_thread()
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        case other:
            raise AssertionError(f"{other} needs no history")


def _one_thread() -> None:
    import torch  # noqa: PLC0415 - half a second and 300 MiB that only the Gaussian process needs

    # Its matrices are small, its processes are many, and sums over several threads are not reproducible.
    torch.set_num_threads(1)

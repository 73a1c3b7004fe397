"""Optuna's samplers, made anew for every ask. Imported by the search process only: it needs optuna.

A sampler's random numbers depend on how often it was asked, and the Gaussian process keeps a warm start from its last
fit. A new sampler for each trial, seeded by study and number, answers from the history alone: so a killed process can
be replaced by another, and a search can be replayed.
"""

from __future__ import annotations

from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial

from tuning_operator.api.study import SamplerName
from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search.problem import Problem

STARTUP_TRIALS: Final = 10
"""Random trials before a model is trusted: Optuna's default."""


def common_space(sampler: SamplerName) -> IntersectionSearchSpace:
    """What the sampler learns of which parameters all trials have. It remembers the trials that it has seen."""
    return IntersectionSearchSpace(include_pruned=sampler == "tpe")


def sampler(problem: Problem, number: int, *, baseline_trials: int, common: IntersectionSearchSpace) -> BaseSampler:
    """The sampler of one trial.

    Baseline trials repeat one configuration and teach next to nothing of the space, so they do not stand for random
    ones: the model starts that much later.

    Args:
        problem: the study's.
        number: of the trial.
        baseline_trials: how many there are before it.
        common: the study's `common_space`, the same one for each of its trials.
    """
    seed = derive_seed(problem.seed, "sampler", number)
    startup = STARTUP_TRIALS + baseline_trials
    match problem.sampler:
        case "tpe":
            return _Tpe(common, seed=seed, n_startup_trials=startup)
        case "gp":
            _one_thread()
            return _Gp(common, seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        case "cmaes":
            return _CmaEs(common, seed=seed, warn_independent_sampling=False)
        case other:
            raise AssertionError(f"{other} needs no history")


class _Remembering(BaseSampler):
    """Knows the parameters that all trials have from before: a new sampler would compare every trial of the history."""

    def __init__(self, common: IntersectionSearchSpace, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._common = common

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002 - Optuna's
        """As the sampler of Optuna does, held to it by a test."""
        return {name: each for name, each in self._common.calculate(study).items() if not each.single()}


class _Tpe(_Remembering, TPESampler):
    pass


class _Gp(_Remembering, GPSampler):
    pass


class _CmaEs(_Remembering, CmaEsSampler):
    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the sampler of Optuna does: without categories."""
        common = super().infer_relative_search_space(study, trial)
        return {name: each for name, each in common.items() if not isinstance(each, CategoricalDistribution)}


def _one_thread() -> None:
    import torch  # noqa: PLC0415 - half a second and 300 MiB that only the Gaussian process needs

    # Its matrices are small, its processes are many, and sums over several threads are not reproducible.
    torch.set_num_threads(1)

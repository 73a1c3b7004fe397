"""The configurations that a user wants tried come first, whatever the sampler."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from tuning_operator.engine.facts import Role, Trial
from tuning_operator.search.problem import Problem, Suggestion


def seed_trial(problem: Problem, trials: Sequence[Trial]) -> Suggestion | None:
    """The next of them after these trials of the study; None when all are there."""
    search = (trial for trial in trials if trial.role is Role.SEARCH)
    place = sum(1 for _ in islice(search, len(problem.seed_trials)))
    return Suggestion(problem.seed_trials[place]) if place < len(problem.seed_trials) else None

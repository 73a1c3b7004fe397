"""Uniform random search: a function of the study's seed and the trial's number, in a finite space also of what was tried."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import distinct, points
from tuning_operator.search.problem import Exhausted, Problem, Suggestion


def suggest(problem: Problem, number: int, known: Collection[Parameters]) -> Suggestion | Exhausted:
    """A configuration drawn uniformly, on each parameter's scale.

    Args:
        problem: the study's.
        number: of the trial.
        known: the configurations that may not come again, `distinct.tried`.
    """
    parameters = distinct.first_new(problem, number, draws(problem, number), known)
    return Exhausted() if parameters is None else Suggestion(parameters)


def draws(problem: Problem, number: int) -> Iterator[Parameters]:
    """Configurations of a trial, without end, each drawn uniformly: the first that is new is the trial's."""
    generator = random.Random(derive_seed(problem.seed, "sampler", number))  # noqa: S311 - not for secrets
    while True:
        yield points.configuration(problem.parameters, [generator.random() for _ in problem.parameters])

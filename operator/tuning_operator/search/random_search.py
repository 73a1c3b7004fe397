"""Uniform random search. The answer depends on the study's seed and the trial's number alone."""

from __future__ import annotations

import random

from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import points
from tuning_operator.search.problem import Problem, Suggestion


def suggest(problem: Problem, number: int) -> Suggestion:
    """A configuration drawn uniformly, on each parameter's scale."""
    generator = random.Random(derive_seed(problem.seed, "sampler", number))  # noqa: S311 - not for secrets
    return Suggestion(points.configuration(problem.parameters, [generator.random() for _ in problem.parameters]))

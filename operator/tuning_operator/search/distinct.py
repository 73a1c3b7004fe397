"""In a finite space no configuration is given twice, and the search ends when none is left.

A trial is taken to have one value: what was tried already would teach nothing, or cost a training to average a noise that
confirmation measures better. The baseline's runs do not count: they are there for their noise.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Role, Trial
from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import discrete
from tuning_operator.search.problem import Problem

DRAWS: Final = 4
"""Answers of a sampler before one is drawn from what is left. A model asked again over the same data hardly changes its mind."""

_MOST_LISTED: Final = 100_000  # configurations; ten times the largest budget, so of a larger space one is always left


def tried(problem: Problem, trials: Sequence[Trial]) -> list[Parameters]:
    """The configurations that may not come again; none in an infinite space, where nothing comes twice."""
    if not discrete.finite(problem.parameters):
        return []
    return [trial.parameters for trial in trials if trial.role is Role.SEARCH]


def first_new(problem: Problem, number: int, draws: Iterable[Parameters], known: Collection[Parameters]) -> Parameters | None:
    """The first of a few draws that is not known, else one at random of what is left; None when nothing is.

    Args:
        problem: the study's.
        number: of the trial.
        draws: what a sampler proposes, one after the other; endless.
        known: the configurations `tried`.
    """
    for parameters in islice(draws, DRAWS):
        if parameters not in known:
            return parameters
    rest = left(problem, known)
    return random.Random(derive_seed(problem.seed, "left", number)).choice(rest) if rest else None  # noqa: S311 - not for secrets


def left(problem: Problem, known: Iterable[Parameters]) -> list[Parameters]:
    """The configurations of a finite space that are not known, in the order of the manifest, 100,000 at most."""
    gone = {frozenset(parameters.items()) for parameters in known}
    every = discrete.combinations(problem.parameters, discrete.values)
    return list(islice((each for each in every if frozenset(each.items()) not in gone), _MOST_LISTED))

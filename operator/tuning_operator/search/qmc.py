"""Quasi-random search: a scrambled Sobol' sequence. Imported by the search process only: it needs scipy.

Optuna's QMCSampler takes its first point at random, its space from the first trial (so nothing conditional), and its
place in the sequence from a counter of its own. Here place and scramble follow from the study, and every parameter has
its coordinate.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Final

from scipy.stats import qmc

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import discrete, distinct, points
from tuning_operator.search.problem import Problem

_CHUNK: Final = 64  # points that are drawn together
_REPEATS: Final = 64  # in a row, after which the rest of a finite space is listed


def block(problem: Problem, first: int, count: int) -> tuple[Parameters, ...]:
    """So many configurations, a power of two, from a place of the study's sequence on; fewer where a finite space ends."""
    if discrete.finite(problem.parameters):
        return tuple(islice(_each_once(problem), first, first + count))
    return _points(problem, first, count)


def _points(problem: Problem, first: int, count: int) -> tuple[Parameters, ...]:
    sequence = qmc.Sobol(len(problem.parameters), scramble=True, rng=derive_seed(problem.seed, "qmc"))
    if first:
        sequence.fast_forward(first)
    return tuple(points.configuration(problem.parameters, point) for point in sequence.random(count).tolist())


def _each_once(problem: Problem) -> Iterator[Parameters]:
    """The configurations of a finite space as the sequence first meets them, then those that it seems to miss, shuffled."""
    known = {frozenset(parameters.items()): parameters for parameters in problem.seed_trials}
    first, repeats = 0, 0
    while repeats < _REPEATS:
        for parameters in _points(problem, first, _CHUNK):
            before = len(known)
            known.setdefault(frozenset(parameters.items()), parameters)
            repeats = 0 if len(known) > before else repeats + 1
            if not repeats:
                yield parameters
        first += _CHUNK
    rest = distinct.left(problem, known.values())
    random.Random(derive_seed(problem.seed, "left")).shuffle(rest)  # noqa: S311 - not for secrets
    yield from rest

"""Quasi-random search: a scrambled Sobol' sequence. Imported by the search process only: it needs scipy.

Optuna's QMCSampler takes its first point at random, its space from the first trial (so nothing conditional), and its
place in the sequence from a counter of its own. Here place and scramble follow from the study, and every parameter has
its coordinate.
"""

from __future__ import annotations

from scipy.stats import qmc

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import points
from tuning_operator.search.problem import Problem


def block(problem: Problem, first: int, count: int) -> tuple[Parameters, ...]:
    """So many configurations, a power of two, from a place of the study's sequence on."""
    sequence = qmc.Sobol(len(problem.parameters), scramble=True, rng=derive_seed(problem.seed, "qmc"))
    if first:
        sequence.fast_forward(first)
    return tuple(points.configuration(problem.parameters, point) for point in sequence.random(count).tolist())

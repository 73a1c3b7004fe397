"""Quasi-random search: a scrambled Sobol' sequence. Imported by the search process only: it needs scipy.

Optuna's QMCSampler takes its first point at random, its space from the first trial (so nothing conditional), and its
place in the sequence from a counter of its own. Here place and scramble follow from the study, and every parameter has
its coordinate.
"""

from __future__ import annotations

from scipy.stats import qmc

from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import points
from tuning_operator.search.problem import Problem, Suggestion


def suggest(problem: Problem, index: int) -> Suggestion:
    """The configuration at a place of the study's sequence."""
    sequence = qmc.Sobol(len(problem.parameters), scramble=True, rng=derive_seed(problem.seed, "qmc"))
    if index:
        sequence.fast_forward(index)
    point = [float(coordinate) for coordinate in sequence.random(1)[0]]
    return Suggestion(points.configuration(problem.parameters, point))

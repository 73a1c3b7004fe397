"""Grid search: every combination of the parameters' levels, each once.

The order is shuffled by the study's seed: a search that ends early (by time, by cost, by reaching its target) has then
seen a fair sample of the grid, and not one corner of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

from tuning_operator.api.grid import levels
from tuning_operator.api.parameters import Parameter, Parameters
from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import discrete
from tuning_operator.search.problem import Problem

_LARGEST = 100_000  # configurations; ten times the largest budget that the API accepts


def block(problem: Problem, first: int, count: int) -> tuple[Parameters, ...]:
    """So many configurations from a place of the shuffled grid on, seed trials left out; fewer where it ends.

    Raises:
        ValueError: the grid has more than 100,000 configurations, or a parameter has no levels without `grid_points`.
    """
    grid = _shuffled(problem.parameters, problem.grid_points, problem.seed)
    if problem.seed_trials:
        grid = tuple(parameters for parameters in grid if parameters not in problem.seed_trials)
    return grid[first : first + count]


def configurations(parameters: Sequence[Parameter], grid_points: int | None) -> Iterator[Parameters]:
    """All configurations in the order of the manifest, the last parameter changing fastest, each once.

    Raises:
        ValueError: a parameter has no levels without `grid_points`.
    """
    return discrete.combinations(parameters, lambda parameter: levels(parameter, grid_points))


@lru_cache(maxsize=32)
def _shuffled(parameters: tuple[Parameter, ...], grid_points: int | None, seed: int) -> tuple[Parameters, ...]:
    grid = list(islice(configurations(parameters, grid_points), _LARGEST + 1))
    if len(grid) > _LARGEST:
        raise ValueError(f"the grid has more than {_LARGEST:,} configurations; lower search.gridPoints or use another sampler")
    random.Random(derive_seed(seed, "grid")).shuffle(grid)  # noqa: S311 - not for secrets
    return tuple(grid)

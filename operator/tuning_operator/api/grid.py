"""How many configurations a grid over a search space has, and which values it visits. Pure arithmetic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from tuning_operator.api.domains import CategoricalChoices, FloatRange, IntRange, ParameterValue
from tuning_operator.api.parameters import Parameter

# More cases of the conditions than any budget has trials: from here on the exact number is of no use.
_MOST_CASES: Final = 10_000

_Case = tuple[tuple[str, ParameterValue], ...]
"""Values of the categorical parameters that later conditions ask for; inactive ones are absent."""


def needs_points(parameter: Parameter) -> bool:
    """Whether the parameter's own range says no finite list of values, so that gridPoints must."""
    match parameter.domain:
        case FloatRange(step=step):
            return step is None
        case IntRange(scale=scale):
            return scale == "log"
        case _:
            return False


def levels(parameter: Parameter, grid_points: int | None) -> tuple[ParameterValue, ...]:
    """The values of one parameter that a grid visits, in rising order or in the order of the choices.

    Args:
        parameter: of any kind. Both ends of a range are visited, the upper one where the step meets it.
        grid_points: how many values to spread over a range without steps, evenly on its scale; fewer where
            neighbours round to the same whole number.

    Raises:
        ValueError: grid_points is None and the parameter needs it.
    """
    match parameter.domain:
        case CategoricalChoices(choices=choices):
            return choices
        case IntRange(scale="linear") as domain:
            return tuple(range(domain.min, domain.max + 1, domain.step or 1))
        case FloatRange(step=float(step)) as domain:
            low = _decimal(domain.min)
            return tuple(float(low + _decimal(step) * position) for position in range(level_count(parameter, grid_points)))
        case domain:
            spread = _log_points if domain.scale == "log" else _linear_points
            points = spread(domain.min, domain.max, _required(parameter, grid_points))
            return _distinct(map(round, points) if isinstance(domain, IntRange) else points)


def level_count(parameter: Parameter, grid_points: int | None) -> int:
    """The number of `levels`, known at once however many they are.

    Raises:
        ValueError: grid_points is None and the parameter needs it.
    """
    match parameter.domain:
        case IntRange(scale="linear") as domain:
            return (domain.max - domain.min) // (domain.step or 1) + 1
        case FloatRange(step=step) as domain if step is not None:
            return (_decimal(domain.max) - _decimal(domain.min)) // _decimal(step) + 1
        case _:
            return len(levels(parameter, grid_points))


def size(parameters: Sequence[Parameter], grid_points: int | None) -> int:
    """The number of different configurations in the grid, in which inactive parameters do not count.

    Exact, unless the conditions alone tell more than 10,000 cases apart; then a smaller number, which is still above
    10,000 and so above any maxTrials.

    Raises:
        ValueError: grid_points is None and a parameter needs it.
    """
    cases: Counter[_Case] = Counter({(): 1})
    for position, parameter in enumerate(parameters):
        asked_later = {condition.parameter for later in parameters[position + 1 :] for condition in later.when}
        cases = _extended(cases, parameter, grid_points, asked_later)
        if len(cases) > _MOST_CASES:
            break
    return cases.total()


def _extended(cases: Counter[_Case], parameter: Parameter, grid_points: int | None, asked_later: set[str]) -> Counter[_Case]:
    """Configurations of the parameters so far, counted by case, with one parameter more."""
    extended: Counter[_Case] = Counter()
    for case, count in cases.items():
        kept = tuple(item for item in case if item[0] in asked_later)
        if not parameter.active(dict(case)):
            extended[kept] += count
        elif parameter.name in asked_later:
            for value in levels(parameter, grid_points):
                extended[*kept, (parameter.name, value)] += count
        else:
            extended[kept] += count * level_count(parameter, grid_points)
    return extended


def _required(parameter: Parameter, grid_points: int | None) -> int:
    if grid_points is None:
        raise ValueError(f"parameter {parameter.name} needs search.gridPoints")
    return grid_points


def _distinct(values: Iterable[ParameterValue]) -> tuple[ParameterValue, ...]:
    """Each value once: neighbours may round to the same one."""
    return tuple(dict.fromkeys(values))


def _linear_points(low: float, high: float, count: int) -> list[float]:
    """Evenly spaced values, both ends exactly."""
    start, width = Fraction(low), Fraction(high) - Fraction(low)
    return [float(start + width * position / (count - 1)) for position in range(count)]


def _log_points(low: float, high: float, count: int) -> list[float]:
    """Evenly spaced exponents, both ends exactly. Of ten, so that 1e-4 is reached as people write it."""
    start, width = math.log10(low), math.log10(high) - math.log10(low)
    inner = (10.0 ** (start + width * position / (count - 1)) for position in range(1, count - 1))
    return [low, *(min(max(point, low), high) for point in inner), high]


def _decimal(value: float) -> Fraction:
    """The number as people wrote it: 0.1 is a tenth, so that three steps of it are 0.3."""
    return Fraction(repr(value))

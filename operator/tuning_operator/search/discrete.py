"""Parameters of which the values can be counted (categorical, int, and float with a step), and spaces of such."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

from tuning_operator.api.grid import level_count, needs_points
from tuning_operator.api.parameters import CategoricalChoices, FloatRange, IntRange, Parameter, Parameters, ParameterValue


def size(parameter: Parameter) -> int | None:
    """How many values the parameter has; None for a float without a step."""
    if not needs_points(parameter):
        return level_count(parameter, None)
    domain = parameter.domain
    return domain.max - domain.min + 1 if isinstance(domain, IntRange) else None


def nth(parameter: Parameter, position: int) -> ParameterValue:
    """The value at a place 0 .. size - 1, in rising order or in the order of the choices."""
    match parameter.domain:
        case CategoricalChoices(choices=choices):
            return choices[position]
        case IntRange() as domain:
            return domain.min + position * (domain.step or 1)
        case FloatRange() as domain:
            assert domain.step is not None, "a float without a step has no n-th value"
            # In decimals, as people wrote them: 0.1 and two steps of 0.1 is 0.3.
            return float(Fraction(repr(domain.min)) + position * Fraction(repr(domain.step)))


def values(parameter: Parameter) -> Iterator[ParameterValue]:
    """All values of the parameter, which must have a size, in that order."""
    return (nth(parameter, place) for place in range(size(parameter) or 0))


def finite(parameters: Iterable[Parameter]) -> bool:
    """Whether a space of these parameters has finitely many configurations."""
    return not any(isinstance(parameter.domain, FloatRange) and parameter.domain.step is None for parameter in parameters)


def combinations(
    parameters: Sequence[Parameter], values_of: Callable[[Parameter], Iterable[ParameterValue]]
) -> Iterator[Parameters]:
    """All configurations in the order of the manifest, the last parameter changing fastest.

    A parameter has no values where it is inactive, so no configuration comes twice.
    """
    return _extended({}, tuple(parameters), values_of)


def _extended(
    chosen: Parameters, remaining: tuple[Parameter, ...], values_of: Callable[[Parameter], Iterable[ParameterValue]]
) -> Iterator[Parameters]:
    if not remaining:
        yield chosen
        return
    first, rest = remaining[0], remaining[1:]
    if not first.active(chosen):
        yield from _extended(chosen, rest, values_of)
        return
    for value in values_of(first):
        yield from _extended({**chosen, first.name: value}, rest, values_of)


def position(parameter: Parameter, value: float) -> int:
    """The place of the value nearest to this one: the inverse of `nth` for numbers."""
    domain = parameter.domain
    assert isinstance(domain, FloatRange | IntRange), "choices have no nearest one"
    return round((value - domain.min) / (domain.step or 1))

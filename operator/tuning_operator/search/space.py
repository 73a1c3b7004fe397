"""The search space in Optuna's words. Imported by the search process only: it needs optuna.

Samplers see stepped floats and ints as places 0 .. n - 1 on their grid: exact in both directions, where a float step
that does not divide the range makes Optuna warn and move the end. Discrete parameters of very many values are
continuous to the sampler and rounded here: the Gaussian process lists all values of a discrete parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from tuning_operator.api.parameters import CategoricalChoices, FloatRange, IntRange, Parameter, ParameterValue
from tuning_operator.search import discrete

_MOST_LISTED = 100  # the ask of a Gaussian process over a network's settings costs half of what it costs at 1,000


def distribution(parameter: Parameter) -> BaseDistribution:
    """The parameter's domain as samplers see it."""
    match parameter.domain:
        case CategoricalChoices(choices=choices):
            return CategoricalDistribution(choices)
        case FloatRange(step=None) as domain:
            return FloatDistribution(domain.min, domain.max, log=domain.scale == "log")
        case domain:
            log = domain.scale == "log"
    count = discrete.size(parameter)
    assert count is not None
    low, high = (domain.min, domain.max) if log else (0, count - 1)
    if count > _MOST_LISTED:
        return FloatDistribution(low, high, log=log)
    return IntDistribution(int(low), int(high), log=log)


def encode(parameter: Parameter, value: ParameterValue) -> ParameterValue:
    """A value of the parameter as samplers see it."""
    match parameter.domain:
        case CategoricalChoices() | FloatRange(step=None) | IntRange(scale="log"):
            return value
        case _:
            return discrete.position(parameter, cast("float", value))


def decode(parameter: Parameter, value: ParameterValue) -> ParameterValue:
    """The value of the parameter nearest to what a sampler said.

    Samplers may miss the ends of a range: by an ulp after a logarithm, by rounding in a continuous stand-in.
    """
    match parameter.domain:
        case CategoricalChoices():
            return value
        case FloatRange(step=None) as domain:
            return min(max(float(value), domain.min), domain.max)
        case IntRange(scale="log") as domain:
            return min(max(round(float(value)), domain.min), domain.max)
    count = discrete.size(parameter)
    assert count is not None
    return discrete.nth(parameter, min(max(round(float(value)), 0), count - 1))


def suggest(parameters: Sequence[Parameter], value: Callable[[str, BaseDistribution], Any]) -> dict[str, ParameterValue]:
    """Let a sampler choose each active parameter, parents before the children that they switch on.

    Args:
        parameters: the space, in the order of the manifest.
        value: the sampler's choice for a name with this distribution.
    """
    values: dict[str, ParameterValue] = {}
    for parameter in parameters:
        if not parameter.active(values):
            continue
        known = distribution(parameter)
        only = known.single()
        values[parameter.name] = discrete.nth(parameter, 0) if only else decode(parameter, value(parameter.name, known))
    return values

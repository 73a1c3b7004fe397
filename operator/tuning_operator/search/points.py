"""From points of the unit cube to configurations: what random and quasi-random search share.

One coordinate for each parameter, in the order of the manifest, whether it is active or not. So a parameter keeps
its coordinate under every condition, and a low-discrepancy sequence stays one on each branch of the space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuning_operator.api.parameters import FloatRange, IntRange, Parameter, ParameterValue
from tuning_operator.search import discrete


def configuration(parameters: Sequence[Parameter], point: Sequence[float]) -> dict[str, ParameterValue]:
    """The configuration at a point of [0, 1)^d, d the number of parameters."""
    values: dict[str, ParameterValue] = {}
    for parameter, coordinate in zip(parameters, point, strict=True):
        if parameter.active(values):
            values[parameter.name] = quantile(parameter, coordinate)
    return values


def quantile(parameter: Parameter, share: float) -> ParameterValue:
    """The value below which this share in [0, 1) of the parameter's range lies, on its scale."""
    match parameter.domain:
        case FloatRange(scale="log") as domain:
            return _within(_geometric(domain.min, domain.max, share), domain.min, domain.max)
        case FloatRange(step=None) as domain:
            return _within(domain.min + share * (domain.max - domain.min), domain.min, domain.max)
        case IntRange(scale="log") as domain:
            # Each whole number owns half a unit on both sides, so that the ends are as likely as their neighbours.
            return _within(round(_geometric(domain.min - 0.5, domain.max + 0.5, share)), domain.min, domain.max)
    count = discrete.size(parameter)
    assert count is not None
    return discrete.nth(parameter, min(int(share * count), count - 1))


def _geometric(low: float, high: float, share: float) -> float:
    return math.exp(math.log(low) * (1 - share) + math.log(high) * share)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)

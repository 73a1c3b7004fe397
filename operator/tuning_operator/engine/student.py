"""Student's t distribution. The engine is pure Python, and this is all of statistics that the standard library lacks for it."""

from __future__ import annotations

import math
from functools import cache
from typing import Final

_BISECTIONS: Final = 200
_PRECISION: Final = 1e-15
_TINY: Final = 1e-300
_MOST_TERMS: Final = 10_000


def t_cdf(t: float, df: float) -> float:
    """The probability that a value of Student's t with so many degrees of freedom, above 0, is at most t."""
    if math.isinf(t):
        return float(t > 0)
    square = t * t
    tail = _beta(df / 2, 0.5, df / (df + square), square / (df + square)) / 2
    return 1 - tail if t > 0 else tail


@cache
def t_quantile(probability: float, df: float) -> float:
    """The value that Student's t with so many degrees of freedom stays below with this probability, to rounding.

    Raises:
        ValueError: the probability is not between 0 and 1.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability {probability} is not between 0 and 1")
    if probability < 1 / 2:
        return -t_quantile(1 - probability, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < probability:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, df) < probability else (low, middle)
    return high


def _beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularised incomplete beta function I_x(a, b), with rest = 1 - x (DLMF 8.17)."""
    if x <= 0 or rest <= 0:
        return float(x > 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, rest, x)  # where the fraction converges fast
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of DLMF 8.17.22, by the modified Lentz method (Press et al., Numerical Recipes, 5.2 and 6.4)."""
    value = denominator = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    numerator = 1.0
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            denominator = 1 / _not_zero(1 + term * denominator)
            numerator = _not_zero(1 + term / numerator)
            value *= numerator * denominator
        if abs(numerator * denominator - 1) < _PRECISION:
            break
    return value


def _not_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY

"""Numbers, times and counts as people write them."""

from __future__ import annotations

from tuning_operator.api.parameters import ParameterValue

_LABEL_LENGTH = 24
_MINUTE = 60
_TENS_OF_THOUSANDS = 1e4
_BILLION = 1e9


def number(value: ParameterValue) -> str:
    """A value to read: four significant digits, whole numbers whole, words as they are."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if _TENS_OF_THOUSANDS <= abs(value) < _BILLION:
        return f"{value:,.0f}"
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e+")


def score(value: float) -> str:
    """A value of the objective: as `number`, but 0.9500 rather than 0.95, so that a column lines up."""
    return f"{value:#.4g}" if abs(value) < _TENS_OF_THOUSANDS else number(value)


def spread(value: float, stddev: float | None) -> str:
    """A mean of the objective and its standard deviation, where there is one."""
    return score(value) if stddev is None else f"{score(value)} \N{PLUS-MINUS SIGN} {stddev:.2g}"


def gained(gain: float, *, value: float) -> str:
    """A difference, to as many decimals as the value it led to, with a true minus sign."""
    _, _, decimals = score(value).partition(".")
    text = f"{gain:.{len(decimals)}f}" if decimals.isdecimal() and round(gain, len(decimals)) else number(gain)
    return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") else text


def duration(seconds: float) -> str:
    """A length of time, in its two largest units."""
    if seconds < _MINUTE - 0.05:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes:02} min"


def shortened(text: str) -> str:
    """A name that fits beside an axis."""
    return text if len(text) <= _LABEL_LENGTH else text[: _LABEL_LENGTH - 1] + "\N{HORIZONTAL ELLIPSIS}"


def count(amount: int, noun: str) -> str:
    """An amount of things: 1 trial, 2 trials."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def listed(items: list[str]) -> str:
    """Items in a sentence: a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"

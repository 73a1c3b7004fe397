"""What one parameter may be: real numbers, whole numbers, or one of a list of words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Protocol

from pydantic import Field
from pydantic.config import JsonDict

from tuning_operator.api.base import ApiModel
from tuning_operator.api.problems import Problem
from tuning_operator.api.validation import Cel, Rule, plain, repeats, rule

ParameterValue = float | int | str
Scale = Literal["linear", "log"]

CHOICE_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$"
"""A choice becomes an environment variable and a word of a command line."""
Choice = Annotated[str, Field(pattern=CHOICE_PATTERN, min_length=1, max_length=128)]

# Within int64: the API server reads `min: 0` as an integer, and then compares it with a bound that it made an int64 too,
# so that one of 1e300 would refuse every whole number.
_FLOAT_LIMIT: Final = 1e18
# Whole numbers up to here are exact as floats too, which is what samplers compute with.
_INT_LIMIT: Final = 2**53

SET_LIST: Final[JsonDict] = {"x-kubernetes-list-type": "set"}

# A float on a grid of steps is compared with this share of a step as tolerance: 0.1 * 3 is not 0.3.
_STEP_TOLERANCE: Final = 1e-6

# Values of this many steps, or more, are so large that a float cannot tell one step.
_MOST_STEPS: Final = 2**51


class _Range(Protocol):
    @property
    def min(self) -> float: ...
    @property
    def max(self) -> float: ...
    @property
    def scale(self) -> Scale: ...
    @property
    def step(self) -> float | None: ...
    @property
    def default(self) -> float | None: ...
    def contains(self, value: ParameterValue) -> bool: ...


# A later rule holds where an earlier one is broken, so that one mistake is told once.
_RANGE_RULES: Final[tuple[Rule[_Range], ...]] = (
    rule(
        lambda r: r.min < r.max,
        Cel(
            rule="self.min < self.max",
            message="min %s is not below max %s; swap them, or drop the parameter if it is fixed",
            quotes=("min", "max"),
            field="min",
        ),
    ),
    rule(
        lambda r: r.scale == "linear" or r.min > 0,
        Cel(
            rule="self.scale == 'linear' || self.min > 0",
            message="min %s is not above 0, which scale: log needs; raise min or use scale: linear",
            quotes=("min",),
            field="min",
        ),
    ),
    rule(
        lambda r: r.scale == "linear" or r.step is None,
        Cel(
            rule="self.scale == 'linear' || !has(self.step)",
            message="step %s goes with scale: linear only; drop step or use scale: linear",
            quotes=("step",),
            field="step",
        ),
    ),
    rule(
        lambda r: r.default is None or r.min >= r.max or r.min <= r.default <= r.max,
        Cel(
            rule="!has(self.default) || self.min >= self.max || (self.min <= self.default && self.default <= self.max)",
            message="default %s is not within %s .. %s; move it inside or widen the range",
            quotes=("default", "min", "max"),
            field="default",
        ),
    ),
)

_WIDE_STEP: Final = "step %s is above the distance from min %s to max %s; make it smaller"
_OFF_STEP: Final = "default %s is not min %s plus whole steps of %s; move it or change step"


def _default_keeps_step(r: _Range) -> bool:
    inside = r.default is not None and r.min <= r.default <= r.max
    return r.step is None or r.default is None or not inside or r.contains(r.default)


def _on_step(value: float, low: float, step: float) -> bool:
    steps = (value - low) / step
    return math.isfinite(steps) and abs(steps - round(steps)) < _STEP_TOLERANCE


class FloatRange(ApiModel):
    """Real numbers from min to max, both included."""

    min: float = Field(ge=-_FLOAT_LIMIT, le=_FLOAT_LIMIT, description="Smallest value, included.")
    max: float = Field(ge=-_FLOAT_LIMIT, le=_FLOAT_LIMIT, description="Largest value, included.")
    scale: Scale = Field(default="linear", description="log samples the exponent: right for learning rates and weight decay.")
    step: float | None = Field(
        default=None, gt=0, le=_FLOAT_LIMIT, description="Only min, min + step, min + 2 step ... are tried."
    )
    default: float | None = Field(
        default=None,
        ge=-_FLOAT_LIMIT,
        le=_FLOAT_LIMIT,
        description="Value of the baseline, and of a trial in which the parameter is inactive.",
    )

    RULES = (
        *_RANGE_RULES,
        rule(
            lambda r: r.step is None or r.min >= r.max or r.step <= (r.max - r.min) * (1 + _STEP_TOLERANCE),
            Cel(
                rule="!has(self.step) || self.min >= self.max || self.step <= (self.max - self.min) * 1.000001",
                message=_WIDE_STEP,
                quotes=("step", "min", "max"),
                field="step",
            ),
        ),
        rule(
            lambda r: r.step is None or (-r.step * _MOST_STEPS <= r.min and r.max <= r.step * _MOST_STEPS),
            Cel(
                rule="!has(self.step)"
                " || (self.min >= self.step * -2251799813685248.0 && self.max <= self.step * 2251799813685248.0)",
                message="step %s is too small to tell neighbouring values apart; make it larger or drop it",
                quotes=("step",),
                field="step",
            ),
        ),
        rule(
            _default_keeps_step,
            Cel(
                # The list of one element names its subject, as CEL has no variables.
                rule="!has(self.step) || !has(self.default) || self.default < self.min || self.default > self.max"
                " || self.min < self.step * -2251799813685248.0 || self.max > self.step * 2251799813685248.0"
                " || [(self.default - self.min) / self.step].all(steps,"
                " steps - double(int(steps + 0.5)) < 0.000001 && double(int(steps + 0.5)) - steps < 0.000001)",
                message=_OFF_STEP,
                quotes=("default", "min", "step"),
                field="default",
            ),
        ),
    )

    def contains(self, value: ParameterValue) -> bool:
        """Whether a trial may have this value."""
        if isinstance(value, str | bool) or not math.isfinite(value):
            return False
        inside = self.min <= value <= self.max
        return inside and (self.step is None or _on_step(value, self.min, self.step))

    def describe(self) -> str:
        """The range in words, for messages."""
        return _within(self)


class IntRange(ApiModel):
    """Whole numbers from min to max, both included."""

    min: int = Field(ge=-_INT_LIMIT, le=_INT_LIMIT, description="Smallest value, included.")
    max: int = Field(ge=-_INT_LIMIT, le=_INT_LIMIT, description="Largest value, included.")
    scale: Scale = Field(default="linear", description="log samples the exponent: right for batch sizes and layer widths.")
    step: int | None = Field(default=None, ge=1, le=_INT_LIMIT, description="Only min, min + step, min + 2 step ... are tried.")
    default: int | None = Field(
        default=None,
        ge=-_INT_LIMIT,
        le=_INT_LIMIT,
        description="Value of the baseline, and of a trial in which the parameter is inactive.",
    )

    RULES = (
        *_RANGE_RULES,
        rule(
            lambda r: r.step is None or r.min >= r.max or r.step <= r.max - r.min,
            Cel(
                rule="!has(self.step) || self.min >= self.max || self.step <= self.max - self.min",
                message=_WIDE_STEP,
                quotes=("step", "min", "max"),
                field="step",
            ),
        ),
        rule(
            _default_keeps_step,
            Cel(
                rule="!has(self.step) || !has(self.default) || self.default < self.min || self.default > self.max"
                " || (self.default - self.min) % self.step == 0",
                message=_OFF_STEP,
                quotes=("default", "min", "step"),
                field="default",
            ),
        ),
    )

    def contains(self, value: ParameterValue) -> bool:
        """Whether a trial may have this value."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.min <= value <= self.max and (value - self.min) % (self.step or 1) == 0

    def describe(self) -> str:
        """The range in words, for messages."""
        return _within(self)


def _within(r: _Range) -> str:
    steps = f" in steps of {plain(r.step)}" if r.step else ""
    return f"within {plain(r.min)} .. {plain(r.max)}{steps}"


def _repeated_choices(domain: CategoricalChoices) -> Iterator[Problem]:
    for position, choice in repeats(domain.choices):
        yield Problem(f"choices[{position}]", f"'{choice}' stands twice in choices; remove one")


class CategoricalChoices(ApiModel):
    """One of a list of words. Numbers are written as words too: ["32", "64"]."""

    choices: tuple[Choice, ...] = Field(
        min_length=2, max_length=32, description="The values, in any order.", json_schema_extra=SET_LIST
    )
    default: Choice | None = Field(
        default=None, description="Value of the baseline, and of a trial in which the parameter is inactive."
    )

    RULES = (
        Rule(check=_repeated_choices, cel=None),
        rule(
            lambda d: d.default is None or d.default in d.choices,
            Cel(
                rule="!has(self.default) || self.default in self.choices",
                message="default '%s' is not one of the choices; add it to choices or change it",
                quotes=("default",),
                field="default",
            ),
        ),
    )

    def contains(self, value: ParameterValue) -> bool:
        """Whether a trial may have this value."""
        return value in self.choices

    def describe(self) -> str:
        """The choices in words, for messages."""
        return "one of " + ", ".join(self.choices)


Domain = FloatRange | IntRange | CategoricalChoices

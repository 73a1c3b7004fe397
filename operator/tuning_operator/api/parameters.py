"""The search space: what may vary, over which range, and under which condition."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tuning_operator.api.base import ApiModel

ParameterValue = float | int | str
Parameters = Mapping[str, ParameterValue]
"""Values of the active parameters of one trial, by name."""

Scale = Literal["linear", "log"]
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63)]
Choice = Annotated[str, Field(min_length=1, max_length=128)]

# A float on a grid of steps is compared with this share of a step as tolerance: 0.1 * 3 is not 0.3.
_STEP_TOLERANCE = 1e-6


def _on_step(value: float, low: float, step: float) -> bool:
    steps = (value - low) / step
    return abs(steps - round(steps)) < _STEP_TOLERANCE


class FloatRange(ApiModel):
    """Real numbers from min to max, both included."""

    min: float = Field(description="Smallest value, included.")
    max: float = Field(description="Largest value, included.")
    scale: Scale = Field(default="linear", description="log samples the exponent: right for learning rates and weight decay.")
    step: float | None = Field(default=None, gt=0, description="Only min, min + step, min + 2 step ... are tried.")
    default: float | None = Field(
        default=None, description="Value of the baseline, and of a trial in which the parameter is inactive."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min {self.min:g} is not below max {self.max:g}; swap them, or drop the parameter if it is fixed")
        if self.scale == "log" and self.min <= 0:
            raise ValueError(f"min {self.min:g} is not above 0, which scale: log needs; raise min or use scale: linear")
        if self.scale == "log" and self.step is not None:
            raise ValueError(f"step {self.step:g} goes with scale: linear only; drop step or use scale: linear")
        if self.step is not None and self.step > self.max - self.min:
            raise ValueError(f"step {self.step:g} is above max - min = {self.max - self.min:g}; make it smaller")
        if self.default is not None and not self.contains(self.default):
            raise ValueError(f"default {self.default:g} is not {self.describe()}; move it inside or widen the range")
        return self

    def contains(self, value: ParameterValue) -> bool:
        """Whether a trial may have this value."""
        if isinstance(value, str | bool) or not math.isfinite(value):
            return False
        inside = self.min <= value <= self.max
        return inside and (self.step is None or _on_step(value, self.min, self.step))

    def describe(self) -> str:
        """The range in words, for messages."""
        return f"within {self.min:g} .. {self.max:g}" + (f" in steps of {self.step:g}" if self.step else "")


class IntRange(ApiModel):
    """Whole numbers from min to max, both included."""

    min: int = Field(ge=-(2**53), le=2**53, description="Smallest value, included.")
    max: int = Field(ge=-(2**53), le=2**53, description="Largest value, included.")
    scale: Scale = Field(default="linear", description="log samples the exponent: right for batch sizes and layer widths.")
    step: int | None = Field(default=None, ge=1, description="Only min, min + step, min + 2 step ... are tried.")
    default: int | None = Field(
        default=None, description="Value of the baseline, and of a trial in which the parameter is inactive."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min {self.min} is not below max {self.max}; swap them, or drop the parameter if it is fixed")
        if self.scale == "log" and self.min < 1:
            raise ValueError(f"min {self.min} is not above 0, which scale: log needs; raise min or use scale: linear")
        if self.scale == "log" and self.step is not None:
            raise ValueError(f"step {self.step} goes with scale: linear only; drop step or use scale: linear")
        if self.step is not None and self.step > self.max - self.min:
            raise ValueError(f"step {self.step} is above max - min = {self.max - self.min}; make it smaller")
        if self.default is not None and not self.contains(self.default):
            raise ValueError(f"default {self.default} is not {self.describe()}; move it inside or widen the range")
        return self

    def contains(self, value: ParameterValue) -> bool:
        """Whether a trial may have this value."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.min <= value <= self.max and (value - self.min) % (self.step or 1) == 0

    def describe(self) -> str:
        """The range in words, for messages."""
        return f"within {self.min} .. {self.max}" + (f" in steps of {self.step}" if self.step else "")


class CategoricalChoices(ApiModel):
    """One of a list of words. Numbers are written as words too: ["32", "64"]."""

    choices: tuple[Choice, ...] = Field(min_length=2, max_length=32, description="The values, in any order.")
    default: Choice | None = Field(
        default=None, description="Value of the baseline, and of a trial in which the parameter is inactive."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        repeated = {choice for choice in self.choices if self.choices.count(choice) > 1}
        if repeated:
            raise ValueError(f"choice {min(repeated)!r} stands twice in choices; remove one")
        if self.default is not None and not self.contains(self.default):
            raise ValueError(f"default {self.default!r} is not {self.describe()}; add it to choices or change it")
        return self

    def contains(self, value: ParameterValue) -> bool:
        """Whether a trial may have this value."""
        return value in self.choices

    def describe(self) -> str:
        """The choices in words, for messages."""
        return "one of " + ", ".join(self.choices)


Domain = FloatRange | IntRange | CategoricalChoices


class Condition(ApiModel):
    """The parameter is active only while another, categorical one has one of these values."""

    parameter: ParameterName = Field(description="A categorical parameter that stands before this one in the list.")
    values: tuple[Choice, ...] = Field(
        min_length=1, max_length=16, description="Choices of that parameter under which this one is active."
    )


class Parameter(ApiModel):
    """One hyperparameter: exactly one of float, int or categorical."""

    name: ParameterName = Field(description="Its name: TUNING_PARAM_<NAME> in the trial's environment.")
    float_: FloatRange | None = Field(default=None, alias="float", description="Real numbers.")
    int_: IntRange | None = Field(default=None, alias="int", description="Whole numbers.")
    categorical: CategoricalChoices | None = Field(default=None, description="One of a list of words.")
    when: tuple[Condition, ...] = Field(
        default=(), max_length=4, description="Conditions, all of which must hold for the parameter to be active."
    )

    @model_validator(mode="after")
    def _one_domain(self) -> Self:
        given = [
            kind for kind, domain in (("float", self.float_), ("int", self.int_), ("categorical", self.categorical)) if domain
        ]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise ValueError(f"has {found}; give exactly one of float, int, categorical")
        return self

    @property
    def domain(self) -> Domain:
        """Its range or choices."""
        domain = self.float_ or self.int_ or self.categorical
        assert domain is not None, "the validator refuses a parameter without a domain"
        return domain

    def active(self, values: Parameters) -> bool:
        """Whether its conditions hold, given the values of the parameters before it (inactive ones absent)."""
        return all(values.get(condition.parameter) in condition.values for condition in self.when)


def defaults(parameters: Iterable[Parameter]) -> dict[str, ParameterValue]:
    """The configuration of the baseline: each active parameter at its default.

    Raises:
        ValueError: an active parameter has no default.
    """
    values: dict[str, ParameterValue] = {}
    for parameter in parameters:
        if not parameter.active(values):
            continue
        if parameter.domain.default is None:
            raise ValueError(f"parameter {parameter.name} has no default")
        values[parameter.name] = parameter.domain.default
    return values


def mismatch(parameters: Iterable[Parameter], values: Parameters) -> str | None:
    """Why these values are not a configuration of the space, or None when they are one."""
    expected: dict[str, ParameterValue] = {}
    for parameter in parameters:
        if not parameter.active(expected):
            continue
        if parameter.name not in values:
            return f"{parameter.name} is missing"
        value = values[parameter.name]
        if not parameter.domain.contains(value):
            return f"{parameter.name} = {value!r} is not {parameter.domain.describe()}"
        expected[parameter.name] = value
    unknown = sorted(set(values) - set(expected))
    return f"{unknown[0]} is not an active parameter" if unknown else None

"""The search space: what may vary, over which range, and under which condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import Field

from tuning_operator.api.base import ApiModel
from tuning_operator.api.domains import SET_LIST, CategoricalChoices, Choice, Domain, FloatRange, IntRange, ParameterValue
from tuning_operator.api.problems import Problem
from tuning_operator.api.validation import Cel, Rule, repeats

__all__ = [
    "CategoricalChoices",
    "Condition",
    "Domain",
    "FloatRange",
    "IntRange",
    "Parameter",
    "ParameterValue",
    "Parameters",
    "at_defaults",
    "defaults",
    "mismatch",
]

Parameters = Mapping[str, ParameterValue]
"""Values of the active parameters of one trial, by name."""

PARAMETER_NAME_PATTERN: Final = r"^[a-z][a-z0-9_]{0,62}$"
ParameterName = Annotated[str, Field(pattern=PARAMETER_NAME_PATTERN, max_length=63)]


def _repeated_values(condition: Condition) -> Iterator[Problem]:
    for position, value in repeats(condition.values):
        yield Problem(f"values[{position}]", f"'{value}' stands twice in values; remove one")


class Condition(ApiModel):
    """The parameter is active only while another, categorical one has one of these values."""

    parameter: ParameterName = Field(description="A categorical parameter that stands before this one in the list.")
    values: tuple[Choice, ...] = Field(
        min_length=1,
        max_length=16,
        description="Choices of that parameter under which this one is active.",
        json_schema_extra=SET_LIST,
    )

    RULES = (Rule(check=_repeated_values, cel=None),)


def _not_one_domain(parameter: Parameter) -> Iterator[Problem]:
    given = [kind for kind, domain in parameter.domains if domain]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        yield Problem("", f"has {found}; give exactly one of float, int, categorical")


def _repeated_conditions(parameter: Parameter) -> Iterator[Problem]:
    for position, parent in repeats([condition.parameter for condition in parameter.when]):
        yield Problem(f"when[{position}].parameter", f"{parent} stands twice in when; join the values in one condition")


class Parameter(ApiModel):
    """One hyperparameter: exactly one of float, int or categorical."""

    name: ParameterName = Field(description="Its name: TUNING_PARAM_<NAME> in the trial's environment.")
    float_: FloatRange | None = Field(default=None, alias="float", description="Real numbers.")
    int_: IntRange | None = Field(default=None, alias="int", description="Whole numbers.")
    categorical: CategoricalChoices | None = Field(default=None, description="One of a list of words.")
    when: tuple[Condition, ...] = Field(
        default=(),
        max_length=4,
        description="Conditions, all of which must hold for the parameter to be active.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["parameter"]},
    )

    RULES = (
        Rule(
            check=_not_one_domain,
            cel=Cel(
                rule="[has(self.float), has(self.int), has(self.categorical)].exists_one(given, given)",
                message="give exactly one of float, int, categorical",
            ),
        ),
        Rule(check=_repeated_conditions, cel=None),
    )

    @property
    def domains(self) -> tuple[tuple[str, Domain | None], ...]:
        """Every kind of domain, by its name in the manifest, with what is given for it."""
        return (("float", self.float_), ("int", self.int_), ("categorical", self.categorical))

    @property
    def kind(self) -> str:
        """The name of its domain in the manifest: float, int or categorical."""
        return next(kind for kind, domain in self.domains if domain)

    @property
    def domain(self) -> Domain:
        """Its range or choices."""
        domain = self.float_ or self.int_ or self.categorical
        assert domain is not None, "the validator refuses a parameter without a domain"
        return domain

    def active(self, values: Parameters) -> bool:
        """Whether its conditions hold, given the values of the parameters before it (inactive ones absent)."""
        return all(values.get(condition.parameter) in condition.values for condition in self.when)


def at_defaults(
    parameters: Iterable[Parameter], given: Parameters = MappingProxyType({})
) -> tuple[dict[str, ParameterValue], tuple[Parameter, ...]]:
    """The active parameters as given, else at their defaults, and those active ones that have neither."""
    values: dict[str, ParameterValue] = {}
    missing: list[Parameter] = []
    for parameter in parameters:
        if not parameter.active(values):
            continue
        value = given.get(parameter.name, parameter.domain.default)
        if value is None:
            missing.append(parameter)
        else:
            values[parameter.name] = value
    return values, tuple(missing)


def defaults(parameters: Iterable[Parameter]) -> dict[str, ParameterValue]:
    """The configuration of the baseline: each active parameter at its default.

    Raises:
        ValueError: an active parameter has no default.
    """
    values, missing = at_defaults(parameters)
    if missing:
        raise ValueError(f"parameter {missing[0].name} has no default")
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

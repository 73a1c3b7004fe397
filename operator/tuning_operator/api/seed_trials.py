"""Configurations that are tried first: as they are written, and as they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

from pydantic import Field

from tuning_operator.api.domains import FloatRange
from tuning_operator.api.parameters import Parameter, Parameters, ParameterValue, at_defaults
from tuning_operator.api.problems import Problem, did_you_mean
from tuning_operator.api.validation import plain

MOST_SEED_TRIALS: Final = 50

SeedTrial = Annotated[
    dict[str, ParameterValue],
    Field(max_length=48, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
"""Values of some parameters, by name; the others are at their defaults."""


def seed_configurations(space: Sequence[Parameter], wished: Sequence[SeedTrial]) -> tuple[Parameters, ...]:
    """The seed trials as whole configurations of the space. They must have no `seed_problems`."""
    return tuple(_typed(space, at_defaults(space, given)[0]) for given in wished)


def _typed(space: Sequence[Parameter], values: Parameters) -> Parameters:
    """A whole number written for a real one is that real number."""
    real = {parameter.name for parameter in space if isinstance(parameter.domain, FloatRange)}
    return {name: float(value) if name in real else value for name, value in values.items()}


def seed_problems(space: Sequence[Parameter], wished: Sequence[SeedTrial]) -> Iterator[Problem]:
    """Every place where a seed trial is no configuration of the space, or the same one as an earlier one."""
    earlier: list[Parameters] = []
    for place, given in enumerate(wished):
        values, missing = at_defaults(space, given)
        found = list(_unfit(space, given, values, missing))
        yield from (problem.under(f"[{place}]") for problem in found)
        if found:
            continue
        whole = _typed(space, values)
        if whole in earlier:
            yield Problem(f"[{place}]", "is the same configuration as an earlier one, which would teach nothing; remove it")
        earlier.append(whole)


def _unfit(
    space: Sequence[Parameter], given: Mapping[str, ParameterValue], values: Parameters, missing: Sequence[Parameter]
) -> Iterator[Problem]:
    by_name = {parameter.name: parameter for parameter in space}
    for name, value in given.items():
        if name not in by_name:
            yield Problem(name, f"is not a parameter; {did_you_mean(name, by_name)}")
        elif name not in values:
            yield Problem(name, f"{plain(value)} is given where '{name}' is not active; remove it, or change what it depends on")
        elif not by_name[name].domain.contains(value):
            yield Problem(name, f"{plain(value)} is not {by_name[name].domain.describe()}; move it inside or widen the range")
    for parameter in missing:
        yield Problem(parameter.name, "is missing and has no default; give it here, or a default in parameters")

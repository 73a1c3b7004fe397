"""What every model of the API shares."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tuning_operator.api.validation import Rule, cel_schema, hold

METRIC_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_./-]{0,62}$"
MetricName = Annotated[str, Field(pattern=METRIC_NAME_PATTERN, max_length=63)]


class ApiModel(BaseModel):
    """Frozen, camelCase on the wire, unknown fields refused, no silent conversion of types, its rules kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )

    RULES: ClassVar[tuple[Rule[Any], ...]] = ()

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        return hold(self.RULES, self)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        handler.resolve_ref_schema(schema).update(cel_schema(cls.RULES))
        return schema


_DURATION: Final = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_UNITS: Final = (3600, 60, 1)

DURATION_PATTERN: Final = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"


def seconds(duration: str) -> int:
    """Length in seconds of a duration such as ``2h``, ``90m`` or ``1h30m``.

    Raises:
        ValueError: the text is not a positive duration of that form.
    """
    match = _DURATION.fullmatch(duration)
    total = match and sum(int(n or 0) * unit for n, unit in zip(match.groups(), _UNITS, strict=True))
    if not total:
        raise ValueError(f"{duration!r} is not a positive duration; write it like 30s, 20m, 2h or 1h30m")
    return total


def _positive(duration: str) -> str:
    seconds(duration)
    return duration


Duration = Annotated[str, Field(min_length=2, max_length=32, pattern=DURATION_PATTERN), AfterValidator(_positive)]
"""A positive length of time as Kubernetes people write it: ``30s``, ``20m``, ``2h``, ``1h30m``."""

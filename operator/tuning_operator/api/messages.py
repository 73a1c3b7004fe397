"""Pydantic's errors as sentences for the people who write manifests: field, value, remedy."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tuning_operator.api.base import DURATION_PATTERN
from tuning_operator.api.domains import CHOICE_PATTERN
from tuning_operator.api.parameters import PARAMETER_NAME_PATTERN
from tuning_operator.api.problems import InconsistentError, Problem, did_you_mean
from tuning_operator.api.schema import structural
from tuning_operator.api.study import LABEL_PATTERN, METRIC_NAME_PATTERN

_MOST_SHOWN: Final = 60

_FORMS: Final[Mapping[str, str]] = {
    DURATION_PATTERN: "write it like 30s, 20m, 2h or 1h30m",
    CHOICE_PATTERN: "leave out line breaks and other control characters",
    PARAMETER_NAME_PATTERN: "use at most 63 lower-case letters, digits and _, a letter first",
    METRIC_NAME_PATTERN: "use at most 63 letters, digits and any of _ . / -, a letter or _ first",
    LABEL_PATTERN: "use at most 63 lower-case letters, digits and -, a letter or digit first and last",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """Every problem that pydantic found in a document of that model, one for each place, in the order of the document."""
    return tuple(
        problem for details in error.errors(include_url=False) if not _is_echo(details) for problem in _translated(details, model)
    )


def field_path(location: tuple[str | int, ...]) -> str:
    """A place as people write it: ``spec.parameters[2].float``."""
    words = (f".{step}" if isinstance(step, str) and step.isprintable() else f"[{step!r}]" for step in location)
    return "".join(words).removeprefix(".")


def shown(value: object) -> str:
    """A value in a message: short, on one line, words in quotes, containers by their kind."""
    match value:
        case str():
            return repr(value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}...")
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return json.dumps(value, default=str)


def _is_echo(details: ErrorDetails) -> bool:
    """A list that is long enough, and too short only without its wrong items, which are told by themselves."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _translated(details: ErrorDetails, model: type[BaseModel]) -> Iterator[Problem]:
    field, context = field_path(details["loc"]), details.get("ctx", {})
    match details["type"], context.get("error"):
        case _, InconsistentError() as error:
            yield from (problem.under(field) for problem in error.problems)
        case "value_error", error:
            yield Problem(field, str(error))
        case "extra_forbidden", _:
            *parent, name = details["loc"]
            known = _schema_at(model, tuple(parent)).get("properties", {})
            yield Problem(field, f"is not a field here; {did_you_mean(str(name), known)}")
        case "literal_error", _:
            known = _schema_at(model, details["loc"]).get("enum", ())
            yield Problem(field, f"{shown(details['input'])} is not possible; {did_you_mean(str(details['input']), known)}")
        case kind, _ if kind in _SENTENCES:
            yield Problem(field, _SENTENCES[kind](details["input"], context))
        case _:
            yield Problem(field, f"{shown(details['input'])} is not possible: {details['msg']}")


_schema = functools.cache(structural)


def _schema_at(model: type[BaseModel], location: tuple[str | int, ...]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = _schema(model)
    for step in location:
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
    return schema


def _not_a_number(value: object, kind: str, example: str) -> str:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", value, re.IGNORECASE):
        return f"{shown(value)} is text, not {kind}; remove the quotes"
    return f"{shown(value)} is not {kind}; write one such as {example}"


def _not_text(value: object) -> str:
    if isinstance(value, bool | int | float):
        return f"{shown(value)} is not text; put it in quotes"
    return f"{shown(value)} is not text; write one word here"


def _count(value: object) -> str:
    number = len(value) if isinstance(value, list | Mapping) else 0
    return f"has {number} item{'s' * (number != 1)}"


_SENTENCES: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], str]]] = {
    "missing": lambda _, __: "is missing; add it",
    "model_type": lambda value, _: f"{shown(value)} is not a mapping; write it as lines of name: value",
    "dict_type": lambda value, _: f"{shown(value)} is not a mapping; write it as lines of name: value",
    "tuple_type": lambda value, _: f"{shown(value)} is not a list; write each item in a line after a dash",
    "string_type": lambda value, _: _not_text(value),
    "bool_type": lambda value, _: f"{shown(value)} is not true or false; write one of these, without quotes",
    "int_type": lambda value, _: _not_a_number(value, "a whole number", "3"),
    "float_type": lambda value, _: _not_a_number(value, "a number", "0.1"),
    "finite_number": lambda value, _: f"{shown(value)} is not finite; write a number such as 0.1",
    "greater_than": lambda value, ctx: f"{shown(value)} is not above {ctx['gt']:g}; make it larger",
    "greater_than_equal": lambda value, ctx: f"{shown(value)} is below {ctx['ge']}; make it at least {ctx['ge']}",
    "less_than_equal": lambda value, ctx: f"{shown(value)} is above {ctx['le']}; make it at most {ctx['le']}",
    "too_short": lambda value, ctx: f"{_count(value)}; give at least {ctx['min_length']}",
    "too_long": lambda value, ctx: f"{_count(value)}; give at most {ctx['max_length']}",
    "string_too_short": lambda value, ctx: f"{shown(value)} is too short; write at least {ctx['min_length']} characters",
    "string_too_long": lambda value, ctx: f"{shown(value)} has {len(value)} characters; write at most {ctx['max_length']}",
    "string_pattern_mismatch": lambda value, ctx: f"{shown(value)} is not possible; {_FORMS[ctx['pattern']]}",
}

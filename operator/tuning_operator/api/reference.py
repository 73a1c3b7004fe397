"""The reference of the manifest, made from the models: ``python -m tuning_operator.api.reference``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tuning_operator.api import generate
from tuning_operator.api.constants import API_VERSION, KIND
from tuning_operator.api.study import TuningStudy
from tuning_operator.api.validation import plain

_INTRODUCTION: Final = f"""\
<!-- Made from the models in operator/tuning_operator/api/ by `python -m tuning_operator.api.reference`. -->

# The {KIND} manifest

`apiVersion: {API_VERSION}`, `kind: {KIND}`. Unknown fields are refused. A field without a default is required unless
it says *optional*. What `kubectl explain tuningstudy --recursive` says is made from the same models.
"""


def render() -> str:
    """The file docs/reference/tuningstudy.md: a section with a table for each type, in the order of the manifest."""
    document = TuningStudy.model_json_schema()
    types = document["$defs"]
    sections = [_section(KIND, document, types), *(_section(name, types[name], types) for name in _mentioned(document, types))]
    return "\n".join([_INTRODUCTION, *sections])


def _mentioned(document: Mapping[str, Any], types: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(_references(document, types)))


def _references(node: Any, types: Mapping[str, Any]) -> Iterator[str]:
    """Names of the types that a schema mentions, each before what it mentions itself."""
    if isinstance(node, Mapping):
        if "$ref" in node:
            name = _name(node["$ref"])
            yield name
            yield from _references(types[name], types)
        for key, value in node.items():
            if key != "$defs":
                yield from _references(value, types)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item, types)


def _section(name: str, schema: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = (
        (f"`{field}`", _type(node), _default(node, required=field in required), _description(node, types))
        for field, node in schema["properties"].items()
    )
    table = ["| Field | Type | Default | |", "|---|---|---|---|", *(_row(cells) for cells in rows)]
    return "\n".join([f"## {name}", "", schema["description"], "", *table, ""])


def _row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _description(node: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    """Of the field, or of its type where the field says nothing else."""
    return str(node["description"] if "description" in node else types[_name(node["$ref"])]["description"])


def _type(node: Mapping[str, Any]) -> str:
    """The type of a field with its bounds: "integer from 0 to 20", "list of [Parameter](#parameter), 1 to 48"."""
    match node:
        case {"anyOf": alternatives}:
            text = _type(next(alternative for alternative in alternatives if alternative.get("type") != "null"))
        case {"$ref": reference}:
            text = f"[{_name(reference)}](#{_name(reference).lower()})"
        case {"const": value}:
            text = f"`{value}`"
        case {"enum": values}:
            text = ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            text = f"list of {_type(items)}, {node.get('minItems', 0)} to {node['maxItems']}"
        case {"type": "string", "format": form}:
            text = str(form)
        case {"type": "object"}:
            text = "mapping"
        case {"type": kind}:
            text = f"{kind}{_bounds(node)}"
    return text


def _bounds(node: Mapping[str, Any]) -> str:
    words = (("above", "exclusiveMinimum"), ("from", "minimum"), ("to", "maximum"))
    return "".join(f" {word} {plain(node[keyword])}" for word, keyword in words if keyword in node)


def _default(node: Mapping[str, Any], *, required: bool) -> str:
    if required:
        return "*required*"
    default = node.get("default")
    if default is None:
        return "*optional*"
    if isinstance(default, Mapping):
        return "its own defaults"
    return f"`{json.dumps(default)}`"


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


if __name__ == "__main__":
    raise SystemExit(generate.main(render(), description=render.__doc__ or ""))

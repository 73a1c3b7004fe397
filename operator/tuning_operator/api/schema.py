"""The models as an OpenAPI v3 schema that Kubernetes calls structural.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_INT32_LIMIT: Final = 2**31
# The order in which a reader wants the keywords; those not named here follow.
_ORDER: Final = ("description", "type", "format", "enum", "default", "required", "properties", "items")
# Titles repeat the names, and pruning does the work of additionalProperties: false.
_DROPPED: Final = frozenset({"title", "additionalProperties", "const", "anyOf", "$ref", "exclusiveMinimum", "exclusiveMaximum"})


def structural(model: type[BaseModel]) -> Schema:
    """The schema of a model: every reference inlined, no null type, no union, no constant.

    Raises:
        ValueError: a field is a union of several types, which a structural schema cannot say.
    """
    document = model.model_json_schema()
    return _structural(document, document.get("$defs", {}))


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    node = _resolved(node, definitions)
    schema = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in node:
        schema["enum"] = [node["const"]]
    if isinstance(node.get("additionalProperties"), Mapping) and "x-kubernetes-preserve-unknown-fields" not in node:
        schema["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "properties" in node:
        schema["properties"] = {name: _structural(value, definitions) for name, value in node["properties"].items()}
    if "items" in node:
        schema["items"] = _structural(node["items"], definitions)
    if "default" in node:
        schema["default"] = _without_nulls(node["default"])
    schema |= _exclusive_bounds(node) | _format(node)
    return {key: schema[key] for key in sorted(schema, key=_rank) if schema[key] is not None}


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node with what it refers to; its own keywords, such as a field's description, win."""
    if "anyOf" in node:
        real = [alternative for alternative in node["anyOf"] if alternative.get("type") != "null"]
        if len(real) != 1:
            raise ValueError(f"{node.get('title', 'a field')} is a union of {len(real)} types; a structural schema has one type")
        node = {**real[0], **node}
    if "$ref" in node:
        return {**_resolved(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions), **node}
    return node


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value


def _exclusive_bounds(node: Mapping[str, Any]) -> Schema:
    """OpenAPI v3.0 says with a flag what JSON Schema says with a number."""
    bounds: Schema = {}
    for side in ("Minimum", "Maximum"):
        if f"exclusive{side}" in node:
            bounds |= {side.lower(): node[f"exclusive{side}"], f"exclusive{side}": True}
    return bounds


def _format(node: Mapping[str, Any]) -> Schema:
    match node.get("type"):
        case "number":
            return {"format": "double"}
        case "integer":
            small = node.get("minimum", 0) >= -_INT32_LIMIT and node.get("maximum", _INT32_LIMIT) < _INT32_LIMIT
            return {"format": "int32" if small else "int64"}
        case _:
            return {}


def _rank(key: str) -> int:
    return _ORDER.index(key) if key in _ORDER else len(_ORDER)

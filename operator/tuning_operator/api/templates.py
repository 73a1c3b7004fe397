"""A Pod template with additions merged into it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}
"""Lists whose items are told apart by a field of theirs: the merge keys of Kubernetes' own strategic merge patch."""


def merged(template: Mapping[str, Any], additions: Mapping[str, Any]) -> dict[str, Any]:
    """The template with the additions merged into it, as `kubectl patch` does it by default.

    Mappings are merged, items of the lists above by their key, and all else is replaced; null takes a field away.
    """
    result = dict(template)
    for field, addition in additions.items():
        present = result.get(field)
        if addition is None:
            result.pop(field, None)
        elif isinstance(addition, Mapping) and isinstance(present, Mapping):
            result[field] = merged(present, addition)
        elif field in _KEYS and isinstance(addition, list) and isinstance(present, list):
            result[field] = _merged_by(_KEYS[field], present, addition)
        else:
            result[field] = addition
    return result


def _merged_by(key: str, present: list[Any], additions: list[Any]) -> list[Any]:
    items, places = list(present), {_key(item, key): place for place, item in enumerate(present)}
    for addition in additions:
        place = places.get(_key(addition, key))
        if place is None or not isinstance(addition, Mapping):
            items.append(addition)
        else:
            items[place] = merged(items[place], addition)
    return items


def _key(item: Any, key: str) -> Any:
    return item.get(key) if isinstance(item, Mapping) else None

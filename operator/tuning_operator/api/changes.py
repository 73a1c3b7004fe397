"""Which changes of a study would make its results incomparable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from tuning_operator.api.messages import shown
from tuning_operator.api.study import StudySpec
from tuning_operator.api.trial import pod_containers

_FROZEN_SECTIONS: Final = ("objectives", "parameters", "search", "pruning", "validation", "baseline", "confirmation")
# What a container computes. Its resources, mounts and probes, and where its Pod runs, may change at any time.
_FROZEN_IN_CONTAINERS: Final = ("image", "command", "args", "env", "envFrom")


def frozen_changes(old: StudySpec, new: StudySpec) -> tuple[str, ...]:
    """A sentence for each difference in what is frozen once the first result of a study is recorded.

    Frozen are objectives, parameters, search, pruning, validation, baseline, confirmation and the metric of the final evaluation,
    and of the Pod template the images, commands, arguments and environments of all containers. Containers are compared by name.
    Values of environments are never quoted, since people keep tokens there. Budget, stopping, retry, suspend, limits, GPUs,
    resources and scheduling stay mutable.
    """
    return tuple(_sentence(*difference) for difference in _differences(_frozen(old), _frozen(new), "spec"))


_ABSENT: Final = object()


def _frozen(spec: StudySpec) -> dict[str, Any]:
    document = spec.model_dump(mode="json", exclude_none=True)
    containers: dict[str, list[dict[str, Any]]] = {"containers": [], "initContainers": []}
    for kind, place, container in pod_containers(spec.trial.template):
        name = str(container.get("name", place))
        frozen = {field: container[field] for field in _FROZEN_IN_CONTAINERS if container.get(field)}
        containers[kind].append({"name": name, **frozen})
    tested = {"finalEvaluation.metric": spec.final_evaluation.metric} if spec.final_evaluation else {}
    return (
        {section: document[section] for section in _FROZEN_SECTIONS if section in document}
        | tested
        | {f"trial.template.spec.{kind}": sorted(listed, key=itemgetter("name")) for kind, listed in containers.items()}
    )


def _differences(old: Any, new: Any, field: str) -> Iterator[tuple[str, Any, Any]]:
    """Every place where two documents differ, as deep as both have the same shape; lists of named things by name."""
    match old, new:
        case Mapping(), Mapping():
            for name in dict.fromkeys([*old, *new]):
                yield from _differences(old.get(name, _ABSENT), new.get(name, _ABSENT), _below(field, name))
        case list(), list() if (before := _by_name(old)) is not None and (after := _by_name(new)) is not None:
            yield from _differences(before, after, field)
            if before.keys() == after.keys() and [*before] != [*after]:
                yield field, [item["name"] for item in old], [item["name"] for item in new]
        case list(), list() if len(old) == len(new):
            for place, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differences(one, other, _below(field, f"[{place}]"))
        case _ if old != new:
            yield field, old, new


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """The items by their names; None when they are not all of different names."""
    by_name = {f"[{item['name']}]": item for item in items if isinstance(item, Mapping) and "name" in item}
    return by_name if len(by_name) == len(items) else None


def _below(field: str, name: str) -> str:
    return f"{field}{name}" if name.startswith("[") else f"{field}.{name}"


def _sentence(field: str, old: Any, new: Any) -> str:
    remedy = "after the first result; put it back, or make a new study"
    if re.search(r"\.env(From)?(\[|$)", field):
        return f"{field}: changed {remedy}"
    return f"{field}: changed from {_value(old)} to {_value(new)} {remedy}"


def _value(value: Any) -> str:
    match value:
        case _ if value is _ABSENT:
            return "nothing"
        case list() if all(isinstance(item, str) for item in value):
            return f"[{', '.join(value)}]"
        case {"name": str(name)}:
            return f"'{name}'"
        case _:
            return shown(value)

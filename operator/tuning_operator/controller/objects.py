"""TuningStudy objects as last seen. In memory; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tuning_operator.runtime.kubernetes.client import Document
from tuning_operator.runtime.kubernetes.views import StudyKey


class StudyObjects:
    """The newest version of every object, whatever the order of events; a full list mends what events lost.

    An object is known by its uid, which never comes back: what is gone once stays gone, whatever late events say.
    """

    def __init__(self) -> None:
        self._objects: dict[StudyKey, Document] = {}
        self._gone: dict[StudyKey, int] = {}  # its last version, until a later list makes it superfluous to know
        self._listed: dict[str | None, int] = {}  # version of the last full list, by namespace; None: of all
        self._current: dict[tuple[str, str], StudyKey] = {}  # by namespace and name
        self._expected: dict[StudyKey, Mapping[str, Any]] = {}  # the status that we wrote last, or are about to write

    def get(self, key: StudyKey) -> Document | None:
        """The object; None when it is gone, or was never seen."""
        return self._objects.get(key)

    def find(self, namespace: str, name: str) -> StudyKey | None:
        """The study that has this name now."""
        return self._current.get((namespace, name))

    def items(self) -> Iterable[tuple[StudyKey, Document]]:
        """All that there are, with their keys."""
        return self._objects.items()

    def keys(self) -> frozenset[StudyKey]:
        """All that there are."""
        return frozenset(self._objects)

    def expect(self, key: StudyKey, status: Mapping[str, Any]) -> None:
        """Take note of a status before it is written: the watch may bring it before the answer does, and it is no news."""
        self._expected[key] = status

    def apply(self, raw: Document, *, deleted: bool = False) -> StudyKey | None:
        """Take an object of an event, or of an answer. Returns its key when it says anything new to the operator."""
        key, version = key_of(raw), version_of(raw)
        if deleted:
            self._gone[key] = max(version, self._gone.get(key, 0))
            return self._drop(key)
        known = self._objects.get(key)
        # What a list did not hold, and is not newer, was gone by then.
        newest = version_of(known) if known is not None else self._listed_at(key.namespace)
        return None if version <= newest else self._put(key, raw)

    def replace(self, items: Iterable[Document], *, version: int, namespace: str | None = None) -> frozenset[StudyKey]:
        """Take a full list, of one namespace or of all. Returns the keys of which it says anything new."""
        listed = {key_of(raw): raw for raw in items if version >= self._listed_at(raw["metadata"]["namespace"])}
        changed = set()
        for key, known in list(self._objects.items()):
            newest = max(version_of(known), self._listed_at(key.namespace))
            if namespace in (None, key.namespace) and key not in listed and newest <= version:
                changed.add(self._drop(key))
        for key, raw in listed.items():
            if key not in self._objects or version_of(raw) > version_of(self._objects[key]):
                changed.add(self._put(key, raw))
        self._listed[namespace] = max(version, self._listed.get(namespace, 0))
        # An older list may hold what is gone, an older event cannot bring it back.
        self._gone = {key: last for key, last in self._gone.items() if last > self._listed_at(key.namespace) or key in listed}
        return frozenset(key for key in changed if key is not None)

    def _listed_at(self, namespace: str) -> int:
        return max(self._listed.get(None, 0), self._listed.get(namespace, 0))

    def _put(self, key: StudyKey, raw: Document) -> StudyKey | None:
        if key in self._gone:
            return None
        known = self._objects.get(key)
        self._objects[key] = raw
        name = (key.namespace, raw["metadata"]["name"])
        other = self._objects.get(self._current.get(name, key))
        # Two of a name: the end of the older one is not known yet.
        if other is None or version_of(other) <= version_of(raw):
            self._current[name] = key
        return None if known is not None and self._says_the_same(key, known, raw) else key

    def _says_the_same(self, key: StudyKey, known: Document, raw: Document) -> bool:
        """Whether the operator has nothing to act on: not the bookkeeping of who wrote what and when, nor its own writing."""
        return _meaning(known) == _meaning(raw) and raw.get("status") in (known.get("status"), self._expected.get(key))

    def _drop(self, key: StudyKey) -> StudyKey | None:
        self._expected.pop(key, None)
        raw = self._objects.pop(key, None)
        if raw is None:
            return None
        name = (key.namespace, raw["metadata"]["name"])
        if self._current.get(name) == key:
            del self._current[name]
        return key


def key_of(raw: Mapping[str, Any]) -> StudyKey:
    """Which study: created again under its name, it is another one."""
    return StudyKey(raw["metadata"]["namespace"], raw["metadata"]["uid"])


def version_of(raw: Mapping[str, Any]) -> int:
    """Its resourceVersion: larger is later."""
    return int(raw["metadata"]["resourceVersion"])


def _meaning(raw: Mapping[str, Any]) -> tuple[Any, ...]:
    """What people want of a study."""
    return raw["metadata"].get("generation"), raw["metadata"].get("deletionTimestamp")

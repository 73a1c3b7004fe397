"""What kopf watches, and where it goes: caches and the queue of studies. Nothing is decided here, nothing is patched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import kopf

from tuning_operator.api.constants import GROUP, VERSION
from tuning_operator.api.crd import PLURAL
from tuning_operator.controller.backoff import backoffs
from tuning_operator.controller.objects import StudyObjects
from tuning_operator.runtime.kubernetes import events
from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind
from tuning_operator.runtime.kubernetes.names import SELECTOR
from tuning_operator.runtime.kubernetes.views import StudyKey

# An apiserver closes a watch after 5 to 10 minutes by itself; behind a balancer, that is known to be forgotten.
_SERVER_SECONDS: Final = 600
_CLIENT_SECONDS: Final = 660
_CONNECT_SECONDS: Final = 10
_REQUEST_SECONDS: Final = 30


class Observer:
    """Takes watch events of kopf, which knows how to keep a watch alive, into the caches."""

    def __init__(
        self, objects: StudyObjects, cache: ClusterCache, *, changed: Callable[[StudyKey], None], alive: Callable[[], None]
    ) -> None:
        """Feed these.

        Args:
            objects: TuningStudy objects.
            cache: Jobs, Pods and warnings.
            changed: called with each study to look at.
            alive: called at every event, also when it says nothing new.
        """
        self._objects = objects
        self._cache = cache
        self._changed = changed
        self._alive = alive

    def registry(self) -> kopf.OperatorRegistry:
        """The handlers: of events only, so that kopf keeps nothing on the objects, and needs no finalizer."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)
        kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)(self._study)
        kopf.on.event("batch", "v1", "jobs", registry=registry)(self._job)
        kopf.on.event("", "v1", "pods", registry=registry)(self._pod)
        kopf.on.event("", "v1", "events", registry=registry)(self._event)
        return registry

    async def _study(self, event: kopf.RawEvent, **_: Any) -> None:
        self._alive()
        key = self._objects.apply(_object(event), deleted=event["type"] == "DELETED")
        self._look_at([key] if key else [])

    async def _job(self, event: kopf.RawEvent, **_: Any) -> None:
        self._alive()
        self._look_at(self._cache.apply(Kind.JOB, _object(event), deleted=event["type"] == "DELETED"))

    async def _pod(self, event: kopf.RawEvent, **_: Any) -> None:
        self._alive()
        self._look_at(self._cache.apply(Kind.POD, _object(event), deleted=event["type"] == "DELETED"))

    async def _event(self, event: kopf.RawEvent, **_: Any) -> None:
        self._alive()
        found = events.warning(_object(event))
        if found is not None and event["type"] != "DELETED":
            self._look_at(self._cache.warn(*found))

    def _look_at(self, keys: Iterable[StudyKey]) -> None:
        for key in keys:
            self._changed(key)


def settings() -> kopf.OperatorSettings:
    """Of kopf: what it watches is selected by the server, and it posts nothing."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.scanning.disabled = True  # definitions and namespaces do not change what is watched
    chosen.watching.server_timeout = _SERVER_SECONDS
    chosen.watching.client_timeout = _CLIENT_SECONDS
    chosen.watching.connect_timeout = _CONNECT_SECONDS
    chosen.networking.request_timeout = _REQUEST_SECONDS
    chosen.networking.connect_timeout = _CONNECT_SECONDS
    chosen.networking.error_backoffs = _Endless()
    chosen.persistence.diffbase_storage = _NoDifferences()
    chosen.persistence.progress_storage = _NoProgress()
    chosen.watching.label_selectors["batch", "v1", "jobs"] = SELECTOR
    chosen.watching.label_selectors["", "v1", "pods"] = SELECTOR
    chosen.watching.field_selectors["", "v1", "events"] = "type=Warning"
    return chosen


class _Endless:
    """Pauses of requests that fail. With kopf's own ones a minute of server errors would end the process."""

    def __iter__(self) -> Iterator[float]:
        return backoffs()


class _NoDifferences(kopf.DiffBaseStorage):
    """kopf's memory of what an object was like when it was last handled: nobody reads it.

    It is built for every event, also where, as here, no handler asks for it: two deep copies of the object and a comparison,
    which cost more than all else that the operator does with an event.
    """

    def build(self, **_: Any) -> Any:
        """No copy."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing was kept."""

    def store(self, **_: Any) -> None:
        """Nothing is kept."""


class _NoProgress(kopf.ProgressStorage):
    """Of handlers that are tried again: those of events never are."""

    def fetch(self, **_: Any) -> None:
        """Nothing was kept."""

    def store(self, **_: Any) -> None:
        """Nothing is kept."""

    def purge(self, **_: Any) -> None:
        """There is nothing."""

    def touch(self, **_: Any) -> None:
        """Nothing is patched."""

    def clear(self, *, essence: Any) -> Any:
        """As it is: a part of an object that nobody changes."""
        return essence


async def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


def _object(event: kopf.RawEvent) -> dict[str, Any]:
    return dict(event["object"])

"""All studies of the cluster: opened when there is something to do for them, closed when there is nothing left."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tuning_operator.api.problems import ManifestError
from tuning_operator.api.study import StudySpec
from tuning_operator.controller.cluster_study import Cluster, ClusterStudy, StatusWriter, changed, invalid, overtaken, spec_of
from tuning_operator.controller.desk import StudyDesk
from tuning_operator.controller.parts import Parts
from tuning_operator.controller.publishing import status_of
from tuning_operator.controller.queue import KeyedQueue, TryAgainError
from tuning_operator.controller.shares import Limits, Shares
from tuning_operator.controller.specs import settle
from tuning_operator.controller.study import StudyController
from tuning_operator.engine.facts import StudyCause
from tuning_operator.engine.status import project_refused
from tuning_operator.gateway.desk import AttemptRef, Unavailable
from tuning_operator.runtime.kubernetes.client import ConflictError, Document, NotFoundError, RequestRefusedError
from tuning_operator.runtime.kubernetes.job import StudyRef
from tuning_operator.runtime.kubernetes.runtime import KubernetesRuntime
from tuning_operator.runtime.kubernetes.views import StudyKey
from tuning_operator.runtime.protocol import RuntimeUnavailableError
from tuning_operator.search.searcher import Searcher
from tuning_operator.store.database import Database
from tuning_operator.store.errors import DatabaseUnavailableError, FencedError, StoreError
from tuning_operator.store.identity import StudyIdentity
from tuning_operator.telemetry import metrics
from tuning_operator.telemetry.studies import StudyFigures

_log = logging.getLogger(__name__)

_RETRY_CONFLICT_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the platform team decides."""

    cluster_uid: str
    gateway_url: str
    namespaces: tuple[str, ...] = ()  # none: all
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A study that has ended."""

    generation: int  # at which nothing was left to do
    until: float  # when its time to live is over, seconds since the epoch; inf: it stays


class ClusterStudies:
    """Looks at studies by key. Begins with what `relist` finds."""

    def __init__(
        self, cluster: Cluster, *, runtime: KubernetesRuntime, database: Database, searcher: Searcher, settings: Settings
    ) -> None:
        self.queue: KeyedQueue[StudyKey] = KeyedQueue(self._look)
        self.desk = StudyDesk(changed=lambda name: self.queue.add(_key_of_desk(name)))
        self.shares = Shares(settings.limits, wake=self.queue.add)
        self._cluster = cluster
        self._runtime = runtime
        self._database = database
        self._searcher = searcher
        self._settings = settings
        self._open: dict[StudyKey, ClusterStudy] = {}
        self._closed: dict[StudyKey, Closed] = {}
        self._unfinished: frozenset[StudyKey] = frozenset()  # as of the last list
        self._listed = False

    # For others

    def get(self, namespace: str, name: str) -> ClusterStudy | None:
        """The study of that name, if it is open here."""
        key = self._cluster.objects.find(namespace, name)
        return self._open.get(key) if key else None

    @property
    def open_count(self) -> int:
        """How many studies are open: held in memory with all their trials."""
        return len(self._open)

    def figures(self) -> Iterator[StudyFigures]:
        """All studies, for the metrics. No I/O."""
        return (figures_of(raw, self._open.get(key)) for key, raw in self._cluster.objects.items())

    def holder_of(self, namespace: str, _pod: str, uid: str) -> AttemptRef | None:
        """The attempt that a Pod runs.

        Raises:
            Unavailable: that is not known yet.
        """
        if not self._listed:
            raise Unavailable("the operator has just started and does not know its Pods yet; send the same request again")
        place = self._runtime.cache.holder(namespace, uid)
        if place is None:
            return None
        study, attempt = place
        if study not in self._open and study not in self._closed and self._cluster.objects.get(study) is not None:
            raise Unavailable("the operator has just started and has not opened this study yet; send the same request again")
        return AttemptRef(study=_desk_name(study), trial=attempt.trial, attempt=attempt.attempt)

    async def relist(self) -> frozenset[StudyKey]:
        """Learn of all objects anew, and have every study looked at of which something was not known.

        Returns:
            Those studies.

        Raises:
            RuntimeUnavailableError: the API server does not answer; what was known stays.
            RequestRefusedError: the operator may not read them.
            DatabaseUnavailableError: studies whose objects are gone are not found.
        """
        news: set[StudyKey] = set()
        for namespace in self._settings.namespaces or (None,):
            studies = await self._cluster.api.list_all(namespace)
            news |= self._cluster.objects.replace(studies.items, version=studies.version, namespace=namespace)
            news |= await self._runtime.relist(namespace)
        known = self._cluster.objects.keys()
        # Also while the database is away.
        self._queue_all(known)
        unfinished = await asyncio.to_thread(self._database.unfinished, self._settings.cluster_uid)
        self._unfinished = frozenset(map(_key, unfinished))
        watched = self._settings.namespaces
        # Those whose objects are gone are ended too.
        stored = {study for study in self._unfinished if not watched or study.namespace in watched}
        self._queue_all(stored - known)
        if not self._listed:
            # Before any study starts anything: all share the limits. Jobs of nobody's study take no part.
            for study, count in self._runtime.cache.live(self._cluster.clock()).items():
                if study in known | stored:
                    self.shares.hold(study, count)
        self._listed = True
        return frozenset(news)

    def _queue_all(self, keys: Iterable[StudyKey]) -> None:
        for key in sorted(keys):
            self.queue.add(key)

    # One look

    async def _look(self, key: StudyKey) -> float | None:
        raw = self._cluster.objects.get(key)
        try:
            study = self._open.get(key) or await self._reopen(key, raw)
            with metrics.RECONCILE.time():
                return await self._look_at(study) if study else self._rest(key)
        except FencedError as error:
            self._close(key)
            raise TryAgainError(str(error)) from error
        except DatabaseUnavailableError as error:
            raise TryAgainError(f"{_name(key, raw)}: {error}") from error
        except StoreError as error:
            self._close(key)
            _log.warning("%s: %s", _name(key, raw), error)
            if raw is not None:
                await self._refuse(key, raw, StudyCause(reason="DatabaseConflict", message=str(error)))
            return _RETRY_CONFLICT_SECONDS

    async def _look_at(self, study: ClusterStudy) -> float | None:
        delay = await study.look()
        if study.ended:
            raw = self._cluster.objects.get(study.key)
            self._close(study.key)
            if raw is not None:
                # Its trials need not be read again at each list until its time to live is over.
                until = math.inf if delay is None else self._cluster.clock() + delay
                self._closed[study.key] = Closed(generation=raw["metadata"]["generation"], until=until)
        return delay

    def _rest(self, key: StudyKey) -> float | None:
        """Seconds until a study that is not open has to be looked at; None for never."""
        closed = self._closed.get(key)
        return None if closed is None or closed.until == math.inf else max(0.0, closed.until - self._cluster.clock())

    def _close(self, key: StudyKey) -> None:
        self._open.pop(key, None)
        self.desk.close_study(_desk_name(key))
        self.shares.forget(key)

    async def _reopen(self, key: StudyKey, raw: Document | None) -> ClusterStudy | None:
        """Open a study for which there may be something to do."""
        if raw is None:
            self._closed.pop(key, None)
            return await self._open_orphan(key)
        if self._is_closed(key, raw):
            return None
        self._closed.pop(key, None)
        try:
            spec = spec_of(raw)
        except ManifestError as error:
            spec, problem = None, error
        identity = self._identity(key, raw["metadata"]["name"])
        if spec is None and await asyncio.to_thread(self._database.find, identity) is None:
            await self._refuse(key, raw, invalid(problem))
            return None
        return await self._open_study(key, identity, raw, spec, causes=() if spec else (invalid(problem),))

    def _is_closed(self, key: StudyKey, raw: Document) -> bool:
        """Whether a study has ended and there is nothing to do for it, as most have when the operator starts."""
        status, generation = status_of(raw), raw["metadata"]["generation"]
        if status is None or status.phase not in ("Succeeded", "Failed") or status.observed_generation != generation:
            return False
        closed, now = self._closed.get(key), self._cluster.clock()
        done_here = closed is not None and closed.generation == generation and now < closed.until
        done_before = (
            "ttlSecondsAfterFinished" not in raw["spec"]
            and key not in self._unfinished
            and not self._runtime.cache.sights(key, now)
        )
        return done_here or done_before

    async def _open_orphan(self, key: StudyKey) -> ClusterStudy | None:
        """Open a study whose object is gone, to end it."""
        stored = await asyncio.to_thread(self._database.unfinished, self._settings.cluster_uid, uid=key.uid)
        identity = next((study for study in stored if _key(study) == key), None)
        return None if identity is None else await self._open_study(key, identity, None, None, causes=())

    async def _open_study(
        self,
        key: StudyKey,
        identity: StudyIdentity,
        raw: Document | None,
        spec: StudySpec | None,
        *,
        causes: tuple[StudyCause, ...],
    ) -> ClusterStudy:
        if spec is None:
            found = await asyncio.to_thread(self._database.read, identity)
            assert found is not None, "it was found a moment ago"
            spec = StudySpec.model_validate_json(found.spec_json)
        ledger = await asyncio.to_thread(
            self._database.adopt,
            identity,
            spec_json=spec.model_dump_json(),
            direction=spec.objective.direction,
            now=self._cluster.clock(),
        )
        stored = await asyncio.to_thread(ledger.load)
        before = StudySpec.model_validate_json(stored.spec_json)
        causes = causes or changed(before, spec, stored.trials)
        accepted = before if causes else spec
        choice = await asyncio.to_thread(settle, ledger, before, accepted, choice=stored.choice, trials=stored.trials)
        suspend = raw is not None and raw["spec"].get("suspend") is True
        reference = StudyRef(namespace=identity.namespace, name=identity.name, uid=identity.uid)
        # The template that holds when a Job is made: it may be edited while the study runs.
        runtime = self._runtime.for_study(reference, lambda: controller.spec.trial, endpoint=self._settings.gateway_url)
        controller = StudyController(
            name=f"{identity.namespace}/{identity.name}",
            spec=accepted.model_copy(update={"suspend": suspend}),
            generation=raw["metadata"]["generation"] if raw is not None else 0,
            choice=choice,
            stored=stored,
            parts=Parts(
                ledger=ledger,
                runtime=runtime,
                searcher=self._searcher,
                clock=self._cluster.clock,
                write_reports=self.desk.write_reports,
                expire=partial(self._expire, reference),
                share=self.shares.of(key),
                overtaken=lambda: overtaken(self._cluster.objects.get(key), controller),
            ),
        )
        controller.causes = causes
        study = self._open[key] = ClusterStudy(key, controller, runtime=runtime, ledger=ledger, cluster=self._cluster)
        self.desk.open_study(_desk_name(key), controller)
        return study

    def _identity(self, key: StudyKey, name: str) -> StudyIdentity:
        return StudyIdentity(cluster=self._settings.cluster_uid, uid=key.uid, namespace=key.namespace, name=name)

    async def _refuse(self, key: StudyKey, raw: Document, cause: StudyCause) -> None:
        """Say of a study that is not open why it is not.

        Raises:
            TryAgainError: that is not said yet.
        """
        generation = raw["metadata"]["generation"]
        status = project_refused(cause, self._cluster.clock(), generation=generation, previous=status_of(raw))
        if await StatusWriter(self._cluster, key).publish(status) is not None:
            # Its new version is known by now, and the watch may have nothing to add.
            raise TryAgainError(f"{_name(key, raw)}: it has changed while its status was written")

    async def _expire(self, study: StudyRef) -> None:
        try:
            await self._cluster.api.delete(study.namespace, study.name, uid=study.uid)
        except (NotFoundError, ConflictError):
            return
        except RequestRefusedError as error:
            raise RuntimeUnavailableError(f"it is not deleted after its ttlSecondsAfterFinished: {error}") from error


def _key(identity: StudyIdentity) -> StudyKey:
    return StudyKey(identity.namespace, identity.uid)


def figures_of(raw: Document, study: ClusterStudy | None) -> StudyFigures:
    """A study as the metrics show it; of one that has ended, and is not open any more, its phase alone."""
    phase = (raw.get("status") or {}).get("phase") or "Pending"
    ended = study is None and phase in ("Succeeded", "Failed")
    status = None if ended else study.status if study is not None and study.status is not None else status_of(raw)
    live = status is not None and status.phase not in ("Succeeded", "Failed")
    return StudyFigures(
        namespace=raw["metadata"]["namespace"],
        name=raw["metadata"]["name"],
        phase=status.phase if status is not None else phase,
        status=status if live else None,
        max_trials=study.controller.spec.budget.max_trials if study is not None else 0,
    )


def _desk_name(key: StudyKey) -> str:
    return f"{key.namespace}/{key.uid}"


def _key_of_desk(name: str) -> StudyKey:
    return StudyKey(*name.split("/"))


def _name(key: StudyKey, raw: Document | None) -> str:
    return f"{key.namespace}/{raw['metadata']['name'] if raw else key.uid}"

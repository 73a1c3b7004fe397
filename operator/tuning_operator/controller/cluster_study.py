"""One TuningStudy of the cluster: its controller, its status and its Events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tuning_operator.api.manifest import parse
from tuning_operator.api.problems import ManifestError
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.controller.objects import StudyObjects
from tuning_operator.controller.publishing import announcements, apply_document, due_at, event_document, status_of
from tuning_operator.controller.queue import TryAgainError
from tuning_operator.controller.specs import refused_changes, settle
from tuning_operator.controller.studies_api import StudiesApi
from tuning_operator.controller.study import StudyController
from tuning_operator.engine.deadlines import next_deadline
from tuning_operator.engine.facts import StudyCause, StudyFacts, Trial
from tuning_operator.runtime.kubernetes.client import ConflictError, Document, NotFoundError, RequestRefusedError
from tuning_operator.runtime.kubernetes.gpus import gpus_of
from tuning_operator.runtime.kubernetes.runtime import StartRefusedError, StudyRuntime
from tuning_operator.runtime.kubernetes.views import StudyKey
from tuning_operator.runtime.protocol import AttemptKey, RuntimeUnavailableError
from tuning_operator.store.ledger import Ledger
from tuning_operator.telemetry.metrics import STATUS_WRITES

_log = logging.getLogger(__name__)

_ROUNDS: Final = 8
"""Rounds of one look, before other studies have their turn."""


def spec_of(raw: Document) -> StudySpec:
    """The spec of an object, its GPUs counted from the Pod template where that asks for more than is stated.

    Raises:
        ManifestError: something in it that the API server cannot refuse.
    """
    spec = parse(raw).spec
    gpus = max(spec.trial.gpus, gpus_of(spec.trial.template))
    return spec.model_copy(update={"trial": spec.trial.model_copy(update={"gpus": gpus})})


def invalid(error: ManifestError) -> StudyCause:
    """What a study says whose spec cannot be used."""
    return StudyCause(reason="InvalidSpec", message="; ".join(str(problem) for problem in error.problems))


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What all studies share."""

    api: StudiesApi
    objects: StudyObjects
    clock: Callable[[], float]  # seconds since the epoch


class StatusWriter:
    """Writes the status of one study, and Events where it turns."""

    def __init__(self, cluster: Cluster, key: StudyKey) -> None:
        self._cluster = cluster
        self._key = key
        self._written_at = 0.0
        self._begun = False
        self._told: StudyStatus | None = None  # the status up to which Events have told everything

    def published(self) -> StudyStatus | None:
        """The status that stands in the cluster, as last seen."""
        raw = self._cluster.objects.get(self._key)
        return status_of(raw) if raw else None

    async def publish(self, status: StudyStatus) -> float | None:
        """Write the status if it is time. Returns when to come back; None when it stands as it should.

        Raises:
            TryAgainError: it was not written.
        """
        raw = self._cluster.objects.get(self._key)
        if raw is None:
            return None
        before = status_of(raw)
        if not self._begun:
            self._begun, self._told = True, before
        due = due_at(before, status, self._written_at)
        if due is not None:
            if self._cluster.clock() < due:
                return due
            if not await self._apply(raw, status):
                return self._cluster.clock()
            self._written_at = self._cluster.clock()
        # Also of a write whose answer was lost, and that stands nevertheless.
        for said in announcements(self._told, status):
            await self._announce(event_document(raw, said, self._cluster.clock()))
        self._told = status
        return None

    async def _apply(self, raw: Document, status: StudyStatus) -> bool:
        """Write; False when the object has changed meanwhile, which is known then."""
        metadata = raw["metadata"]
        document = apply_document(raw, status)
        self._cluster.objects.expect(self._key, document["status"])
        try:
            self._cluster.objects.apply(await self._cluster.api.apply_status(document))
            STATUS_WRITES.labels("written").inc()
        except NotFoundError:
            self._cluster.objects.apply(raw, deleted=True)
            return False
        except ConflictError:
            STATUS_WRITES.labels("conflict").inc()
            await self._read(metadata["namespace"], metadata["name"])
            return False
        except (RequestRefusedError, RuntimeUnavailableError) as error:
            STATUS_WRITES.labels("refused").inc()
            raise TryAgainError(f"{metadata['namespace']}/{metadata['name']}: its status is not written: {error}") from error
        return True

    async def _read(self, namespace: str, name: str) -> None:
        try:
            self._cluster.objects.apply(await self._cluster.api.read(namespace, name))
        except (RequestRefusedError, RuntimeUnavailableError) as error:
            raise TryAgainError(f"{namespace}/{name}: its status is not written: {error}") from error

    async def _announce(self, event: Document) -> None:
        """An Event is a courtesy: nothing waits for it, and it is not repeated."""
        try:
            await self._cluster.api.post_event(event["metadata"]["namespace"], event)
        except (RequestRefusedError, RuntimeUnavailableError) as error:
            _log.warning("%s: Event %s is not posted: %s", self._key, event["reason"], error)


class ClusterStudy:
    """A study that is open in this process."""

    def __init__(
        self, key: StudyKey, controller: StudyController, *, runtime: StudyRuntime, ledger: Ledger, cluster: Cluster
    ) -> None:
        self.key = key
        self.controller = controller
        self.status: StudyStatus | None = None
        self._runtime = runtime
        self._ledger = ledger
        self._cluster = cluster
        self._writer = StatusWriter(cluster, key)
        self.ended = False  # finished, said, and let go of by the cluster: there is nothing left to do for it
        self._rehearsed = bool(controller.facts().trials)

    @property
    def uid(self) -> str:
        """Of its object."""
        return self.key.uid

    async def look(self) -> float | None:
        """Do what is to be done now. Returns seconds until time alone may ask for more; None for never.

        Raises:
            TryAgainError: something is away, or the cluster refuses the trials; what was to be said is said.
            DatabaseUnavailableError: what was not written is decided again.
            StoreError: the study is somebody else's now, or the database holds something unexpected.
        """
        await self._follow_object()
        refused: RuntimeUnavailableError | None = None
        acted = False
        try:
            await self._disown_strangers()
            refused = await self._rehearse()
            acted = await self._rounds()
        except RuntimeUnavailableError as error:
            refused = error
        facts = self.controller.facts()
        write_at = await self._publish(facts)
        if refused is not None:
            raise TryAgainError(f"{self.controller.name}: {refused}") from refused
        self.ended = facts.finished_at is not None and not (acted or self._keeps_any() or write_at)
        return 0.0 if acted else self._delay(facts, write_at)

    # Its object

    async def _follow_object(self) -> None:
        raw = self._cluster.objects.get(self.key)
        self.controller.deleted = _is_deleted(raw)
        if raw is not None and raw["metadata"]["generation"] != self.controller.generation:
            await self._amend(raw)

    async def _amend(self, raw: Document) -> None:
        """Take an edit of the spec, or say why it cannot be taken. Suspending is always possible."""
        before, trials = self.controller.spec, self.controller.facts().trials
        accepted, choice = before, self.controller.choice
        causes: tuple[StudyCause, ...]
        try:
            wanted = spec_of(raw)
        except ManifestError as error:
            causes = (invalid(error),)
        else:
            causes = changed(before, wanted, trials)
            if not causes:
                accepted = wanted
                choice = await asyncio.to_thread(settle, self._ledger, before, accepted, choice=choice, trials=trials)
        self.controller.causes = causes
        suspend = raw["spec"].get("suspend") is True
        self.controller.amend(accepted.model_copy(update={"suspend": suspend}), raw["metadata"]["generation"], choice)

    # Its trials

    async def _disown_strangers(self) -> None:
        """Delete Jobs of attempts that the database does not know, as there are after an older one was restored.

        A claim is written before its Job is made. A Job that was seen before a read which knows no claim of it can be no
        attempt, whoever may own the study meanwhile. Before anything is claimed: else its end might be taken for that of
        the next attempt of its number.
        """
        strangers = {key: job for key, job in self._runtime.jobs().items() if not self._knows(key)}
        if strangers:
            await self.controller.reload()
        for key, job in strangers.items():
            if not self._knows(key):
                await self._runtime.disown(job)
                where = f"trial {key.trial}, attempt {key.attempt}"
                _log.warning(
                    "%s: Job %s (%s) is not in the database, and deleted", self.controller.name, job.identity.name, where
                )

    def _knows(self, key: AttemptKey) -> bool:
        return self.controller.attempt(key.trial, key.attempt) is not None

    def _keeps_any(self) -> bool:
        """Whether the cluster keeps any attempt of the study."""
        return any(map(self._knows, self._runtime.observe()))

    async def _rehearse(self) -> StartRefusedError | None:
        """Ask whether the cluster would take a trial, where no start is about to ask that.

        A refusal is known to the runtime from then on, so that nothing starts; deletion and limits of time count all the same.
        """
        facts = self.controller.facts()
        # A refused start is its own next try. When nothing waits for a start any more, only a rehearsal finds it mended.
        waiting = any(trial.last.started_at is None for trial in facts.live)
        if facts.halted or facts.deleted or waiting or (self._rehearsed and not self._runtime.refused):
            return None
        try:
            await self._runtime.dry_run(self.controller.rehearsal())
        except StartRefusedError as error:
            return error
        self._rehearsed = True
        return None

    async def _rounds(self) -> bool:
        await self._runtime.settle_doubts()
        for _ in range(_ROUNDS):
            if not await self.controller.reconcile():
                return False
            if overtaken(self._cluster.objects.get(self.key), self.controller):
                break
        return True

    def _delay(self, facts: StudyFacts, write_at: float | None) -> float | None:
        now = self._cluster.clock()
        moments = (write_at, next_deadline(facts, now), self._runtime.look_again_at(), self.controller.ask_again_at)
        return min((max(0.0, moment - now) for moment in moments if moment is not None), default=None)

    # What is said of it

    async def _publish(self, facts: StudyFacts) -> float | None:
        published = self._writer.published()
        self.status = self.controller.status(facts, published)
        if self.controller.deleted:
            return None
        return await self._writer.publish(self.status)


def overtaken(raw: Document | None, controller: StudyController) -> bool:
    """Whether the object as last seen says what its controller does not know: it was edited, suspended or deleted."""
    edited = raw is not None and raw["metadata"]["generation"] != controller.generation
    return edited or _is_deleted(raw) != controller.deleted


def _is_deleted(raw: Document | None) -> bool:
    return raw is None or "deletionTimestamp" in raw["metadata"]


def changed(before: StudySpec, wanted: StudySpec, trials: Sequence[Trial]) -> tuple[StudyCause, ...]:
    """What a study says whose spec was edited too late."""
    changes = refused_changes(before, wanted, trials)
    return (StudyCause(reason="SpecChanged", message="; ".join(changes)),) if changes else ()

"""What people read of studies: from memory while a study is open in this process, from the database otherwise.

However many watch a study, it is looked at once a second at most, each of its trials is encoded when it changes, and an
answer to one is the answer to all.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tuning_operator.api.status import StudyStatus, Usage
from tuning_operator.api.study import ObjectMeta, StudySpec, TuningStudy
from tuning_operator.engine.facts import StudyFacts, Trial
from tuning_operator.engine.status import project
from tuning_operator.engine.tally import Tally
from tuning_operator.gateway.bearer import digest
from tuning_operator.gateway.desk import Unavailable
from tuning_operator.gateway.people import Progress, Which
from tuning_operator.gateway.people_wire import StudyHead, document_json, head_of, trial_json
from tuning_operator.gateway.verdicts import Limits, Verdicts
from tuning_operator.store.database import Database
from tuning_operator.store.errors import DatabaseUnavailableError, StoreError

_LOOK_SECONDS: Final = 1.0
_LOOK_SHARE: Final = 0.05
"""Most of the event loop's time that looking at one watched study may take: a large one is looked at less often."""

_SHELVES: Final = 64
"""Watched studies of which the encoded trials are kept."""

_DOCUMENTS: Final = Limits(yes_seconds=2.0, no_seconds=2.0, remembered=8, at_once=2)
_STORED: Final = Limits(yes_seconds=10.0, no_seconds=2.0, remembered=32, at_once=2)
"""What is read from the database at once leaves half of its connections to the studies that run."""


_COUNT: Final = re.compile("[0-9]{1,9}")


class Known(Protocol):
    """What is known of a study: a `StudyController`."""

    def facts(self) -> StudyFacts:
        """What is known now."""

    def status(self, facts: StudyFacts, previous: StudyStatus | None = None) -> StudyStatus:
        """The status that these facts imply now."""


class OpenStudy(Protocol):
    """A study that this process looks after."""

    @property
    def uid(self) -> str:
        """Of its object."""

    @property
    def controller(self) -> Known:
        """What knows it."""

    @property
    def status(self) -> StudyStatus | None:
        """As it was last projected; None before."""


class OpenStudies(Protocol):
    """The studies that this process looks after. No I/O."""

    def get(self, namespace: str, name: str) -> OpenStudy | None:
        """The newest of that name; None when it is not open."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A study at one moment."""

    head: StudyHead
    trials: Sequence[Trial]


class StudyLibrary:
    """Implements `gateway.people.Library`."""

    def __init__(
        self,
        *,
        open_studies: OpenStudies,
        database: Database,
        cluster: str,
        version: str,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from two places.

        Args:
            open_studies: the first place.
            database: the second.
            cluster: whose studies of the database are read (`StudyIdentity.cluster`).
            version: of the operator.
            clock: seconds since the epoch.
            timer: seconds that only grow.
        """
        self._open_studies = open_studies
        self._database = database
        self._cluster = cluster
        self._version = version
        self._clock = clock
        self._timer = timer
        self._shelves: dict[str, _Shelf] = {}
        self._documents: Verdicts[bytes] = Verdicts(clock, _DOCUMENTS)
        self._stored: Verdicts[_Seen] = Verdicts(clock, _STORED)

    async def document(self, which: Which) -> bytes | None:
        """The study with all its trials and their reports.

        Raises:
            Unavailable: the database cannot be asked, or too many ask at once.
        """
        return await self._documents.get(_key(which), lambda: self._document(which))

    async def progress(self, which: Which, after: str) -> Progress | None:
        """The study with the trials that changed after a version.

        Raises:
            Unavailable: the database cannot be asked, or too many ask at once.
        """
        study = self._opened(which)
        if study is not None:
            shelf = self._shelf(study.uid)
            began = self._timer()
            if began >= shelf.due:
                shelf.put(self._look(which, study, shelf.seen))
                shelf.due = began + max(_LOOK_SECONDS, (self._timer() - began) / _LOOK_SHARE)
            return shelf.progress(after)
        seen = await self._from_database(which)
        if seen is None:
            return None
        shelf = self._shelf(seen.head.study.metadata.uid)
        if seen is not shelf.seen:
            shelf.put(seen)
        return shelf.progress(after)

    def _opened(self, which: Which) -> OpenStudy | None:
        study = self._open_studies.get(which.namespace, which.name)
        return study if study is not None and study.uid.startswith(which.uid) else None

    def _look(self, which: Which, study: OpenStudy, before: _Seen | None = None) -> _Seen:
        facts = study.controller.facts()
        # Conditions keep the times of their transitions.
        status = study.controller.status(facts, study.status or (before.head.study.status if before else None))
        return self._seen(facts, status, ObjectMeta(namespace=which.namespace, name=which.name, uid=study.uid), running=True)

    def _seen(self, facts: StudyFacts, status: StudyStatus, metadata: ObjectMeta, *, running: bool) -> _Seen:
        head = head_of(facts, status, metadata=metadata, running=running, operator_version=self._version)
        return _Seen(head=head, trials=facts.trials)

    def _shelf(self, uid: str) -> _Shelf:
        shelf = self._shelves.pop(uid, None) or _Shelf()
        self._shelves[uid] = shelf
        if len(self._shelves) > _SHELVES:
            del self._shelves[next(iter(self._shelves))]
        return shelf

    async def _document(self, which: Which) -> bytes | None:
        study = self._opened(which)
        seen = self._look(which, study) if study is not None else await self._from_database(which)
        return None if seen is None else await asyncio.to_thread(_whole, seen)

    async def _from_database(self, which: Which) -> _Seen | None:
        return await self._stored.get(_key(which), lambda: self._load(which))

    async def _load(self, which: Which) -> _Seen | None:
        try:
            return await asyncio.to_thread(self._read, which)
        except DatabaseUnavailableError as error:
            # Where the database is, and as whom one comes there, is not for people who may read a study.
            raise Unavailable("the study database does not answer now; send the same request again") from error
        except StoreError as error:
            raise Unavailable(str(error)) from error

    def _read(self, which: Which) -> _Seen | None:
        found = [
            summary.identity
            for summary in self._database.named(self._cluster, which.namespace, which.name)
            if summary.identity.uid.startswith(which.uid)
        ]
        stored = self._database.read(found[-1]) if found else None
        if stored is None:
            return None
        facts = StudyFacts(
            spec=StudySpec.model_validate_json(stored.spec_json),
            generation=max((attempt.generation for trial in stored.trials for attempt in trial.attempts), default=1),
            began_at=stored.began_at,
            trials=stored.trials,
            history=Tally.of(stored.trials),
            search_end=stored.search_end,
            verdict=stored.verdict,
            exhausted=stored.exhausted,
        )
        now = self._clock() if facts.finished_at is None else facts.finished_at
        status = project(facts, now, choice=stored.choice)
        metadata = ObjectMeta(namespace=which.namespace, name=which.name, uid=found[-1].uid)
        return self._seen(facts, status, metadata, running=False)


@dataclass
class _Encoded:
    body: bytes
    final: bool  # of a finished trial: it never changes again
    changed: int


class _Shelf:
    """A study's trials as they were last encoded, and when each of them changed."""

    def __init__(self) -> None:
        self.due = 0.0  # when to look at the study again
        self.seen: _Seen | None = None
        # A version of another shelf, such as one before a restart, says nothing here.
        self._name = secrets.token_hex(4)
        self._changes = 0
        self._lasting: TuningStudy | None = None
        self._trials: list[_Encoded] = []
        self._answers: dict[int, Progress] = {}

    def put(self, seen: _Seen) -> None:
        """Take the study as it is now."""
        change = self._changes + 1
        lasting = _lasting(seen.head.study)
        changed = [self._put(trial, change) for trial in seen.trials]
        if any(changed) or lasting != self._lasting:
            self._changes = change
        self.seen, self._lasting = seen, lasting
        self._answers.clear()

    def _put(self, trial: Trial, change: int) -> bool:
        known = self._trials[trial.number] if trial.number < len(self._trials) else None
        if known is not None and known.final:
            return False
        body = trial_json(trial, with_reports=False)
        if known is not None and known.body == body:
            return False
        self._trials[trial.number : trial.number + 1] = [_Encoded(body, trial.finished, change)]
        return True

    def progress(self, after: str) -> Progress:
        """What changed after a version."""
        since = self._since(after)
        if since not in self._answers:
            self._answers[since] = self._answer(since)
        return self._answers[since]

    def _since(self, version: str) -> int:
        """The change of which a version is; 0 where it is none of ours."""
        name, _, change = version.partition("-")
        ours = name == self._name and _COUNT.fullmatch(change) is not None
        return int(change) if ours and int(change) <= self._changes else 0

    def _answer(self, since: int) -> Progress:
        assert self.seen is not None, "a study is put first"
        version = f"{self._name}-{self._changes}"
        head = self.seen.head.model_copy(update={"version": version, "complete": since == 0})
        trials = (encoded.body for encoded in self._trials if encoded.changed > since)
        return Progress(version=version, body=document_json(head, trials))


def _lasting(study: TuningStudy) -> TuningStudy:
    """The study without the figures that move with time alone: they wake nobody."""
    assert study.status is not None, "a study that is read has a status"
    status = study.status.model_copy(update={"usage": Usage(), "estimated_completion": None})
    return study.model_copy(update={"status": status})


def _whole(seen: _Seen) -> bytes:
    return document_json(seen.head, (trial_json(trial, with_reports=True) for trial in seen.trials))


def _key(which: Which) -> bytes:
    return digest(which.namespace, which.name, which.uid)

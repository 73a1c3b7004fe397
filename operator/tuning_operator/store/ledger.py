"""The one writer of a study: every write is a transaction of its own that first proves ownership."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, Self

import sqlalchemy as sa

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.parameters import Parameter, mismatch
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import Attempt, Ended, Role, SamplerChoice, StopReason, Trial, TrialState, Verdict
from tuning_operator.store import attributes, codec, optuna_sql, rows
from tuning_operator.store.connection import Connections
from tuning_operator.store.distributions import distribution_json, stored_value
from tuning_operator.store.errors import ConflictError, FencedError, ForeignWriteError
from tuning_operator.store.loader import load_study, read_events
from tuning_operator.store.records import Event, EventKind, ReportedPoint, StoredStudy
from tuning_operator.store.rows import AnyRow
from tuning_operator.store.tables import studies

_NO_DETAIL: Final[Mapping[str, Any]] = MappingProxyType({})


Locked = tuple[sa.Connection, AnyRow]
"""A transaction, and the row of the study that it has locked."""


class Ledger:
    """A study's writer, made by `Database.adopt`. Immutable, safe for threads.

    Every method may raise `DatabaseUnavailableError` (repeat the call) and `FencedError` (another owner has the study).
    Every write is idempotent: repeating it with the same arguments is success and writes nothing.
    """

    def __init__(
        self, connections: Connections, *, study_id: int, study_name: str, fence: int, joined: Locked | None = None
    ) -> None:
        self._connections = connections
        self._joined = joined  # the transaction that its writes are part of; None: each is one of its own
        self._study_id = study_id
        self.study_name = study_name
        self.fence = fence

    @contextmanager
    def together(self) -> Iterator[Self]:
        """Several writes in one transaction, by one thread: all of them are done, or none.

        A verdict is not for the same transaction as claims, which are refused by the study as it was at the begin.
        """
        with self._transaction() as locked:
            yield type(self)(
                self._connections, study_id=self._study_id, study_name=self.study_name, fence=self.fence, joined=locked
            )

    # Reading

    def load(self) -> StoredStudy:
        """All that is stored of the study but its log.

        Raises:
            ForeignWriteError: it holds trials, or ends of trials, that the operator did not write.
        """
        with self._connections.reading() as connection:
            row = connection.execute(sa.select(studies).where(self._owned)).one_or_none()
            if row is None:
                raise self._fenced()
            return load_study(connection, row, self.study_name)

    def events(self) -> tuple[Event, ...]:
        """The log, oldest first."""
        with self._connections.reading() as connection:
            return read_events(connection, self._study_id)

    # The study

    def save_spec(self, spec_json: str) -> None:
        """Replace the canonical copy of the spec."""
        with self._transaction() as (connection, _):
            rows.update_study(connection, self._study_id, {"spec_json": spec_json})

    def save_choice(self, choice: SamplerChoice) -> None:
        """Record the sampler in use. From the first trial on it stands.

        Raises:
            ConflictError: another one is recorded.
        """
        text = codec.choice_to_json(choice)
        with self._transaction() as (connection, study):
            if study.choice_json is None or rows.newest_trial(connection, self._study_id) is None:
                rows.update_study(connection, self._study_id, {"choice_json": text})
            else:
                self._refuse_another("choice", study.choice_json, text)

    def end_search(self, verdict: Verdict) -> None:
        """Record how the search ended, once. From now on no search trial can be claimed.

        Raises:
            ConflictError: another end is recorded.
        """
        self._record_once("search_end_json", codec.verdict_to_json(verdict), what="end of its search")

    def decide_end(self, verdict: Verdict) -> None:
        """Record the verdict, once. From now on no trial and no attempt can be claimed.

        Raises:
            ConflictError: another one is recorded.
        """
        self._record_once("verdict_json", codec.verdict_to_json(verdict), what="verdict")

    def mark_exhausted(self) -> None:
        """Record that the sampler has no further configuration."""
        with self._transaction() as (connection, _):
            rows.update_study(connection, self._study_id, {"exhausted": True})

    # Trials

    def claim(self, trial: Trial, space: Sequence[Parameter], *, detail: Mapping[str, Any] = _NO_DETAIL) -> None:
        """Write a new trial with its first attempt, and the ask into the log.

        Args:
            trial: as it is before anything happens to it: running, one attempt, nothing reported.
            space: the parameters it was asked from; the trial's values must be a configuration of it.
            detail: for the log: the sampler, versions of libraries ..., as far as JSON can say it.

        Raises:
            ValueError: the trial's parameters are not a configuration of the space.
            ConflictError: its number is not the next one, and this is no repetition of its own claim; or the study has ended,
                or the search, and it is a search trial.
            ForeignWriteError: another program added a trial to this study.
        """
        problem = mismatch(space, trial.parameters)
        if problem:
            raise ValueError(f"trial {trial.number} cannot be claimed: {problem}")
        params = _params(trial, space)
        digest = codec.claim_digest(trial, {param.name: param.distribution for param in params})
        with self._transaction() as (connection, study):
            newest = rows.newest_trial(connection, self._study_id)
            expected = newest.number + 1 if newest else 0
            if trial.number < expected and self._trial(connection, trial.number).claim_digest == digest:
                return
            if trial.number != expected:
                raise ConflictError(f"trial {trial.number} of {self.study_name} cannot be claimed: the next number is {expected}")
            self._refuse_after_verdict(study, f"trial {trial.number}")
            if trial.role is Role.SEARCH and study.search_end_json is not None:
                raise ConflictError(f"trial {trial.number} of {self.study_name} cannot be claimed: the search has ended")
            trial_id = optuna_sql.insert_running_trial(
                connection,
                study_id=self._study_id,
                number=trial.number,
                at=trial.claimed_at,
                params=params,
                user_attributes=attributes.at_claim(trial),
                system_attributes=trial.sampler_state,
            )
            foreign = optuna_sql.foreign_numbers(
                connection, self._study_id, previous=newest.trial_id if newest else 0, inserted=trial_id
            )
            if foreign:
                raise ForeignWriteError(self.study_name, foreign, "added")
            rows.insert_trial(connection, self._study_id, trial, trial_id=trial_id, claim_digest=digest)
            rows.insert_attempt(connection, trial_id, trial.attempts[0])
            rows.append_event(
                connection, self._study_id, kind=EventKind.ASK, trial=trial.number, at=trial.claimed_at, detail=detail
            )

    def tell(self, trial: int, tell: Tell, at: float) -> None:
        """Finish a trial whose attempts have all ended. Its metrics are those of its last attempt.

        Raises:
            ValueError: the tell has no value where its state needs one, or one where it must not.
            ConflictError: the trial is unknown, still has an open attempt, or is finished otherwise.
        """
        _check(tell)
        with self._transaction() as (connection, _):
            row = self._trial(connection, trial)
            last = rows.last_attempt(connection, row.trial_id)
            if last.ended_json is None:
                raise ConflictError(f"trial {trial} of {self.study_name} cannot be told: its attempt {last.number} has not ended")
            self._finish(connection, row.trial_id, trial, tell, at=at, ended=codec.ended_from_json(last.ended_json))

    def report(self, points: Sequence[ReportedPoint]) -> None:
        """Write intermediate values, first value of a (trial, step) wins. Those of finished or unknown trials are dropped."""
        if not points:
            return
        with self._transaction() as (connection, _):
            ids = rows.unfinished_trial_ids(connection, self._study_id, {point.trial for point in points})
            known = [(ids[point.trial], point.step, point.value) for point in points if point.trial in ids]
            if known:
                optuna_sql.insert_reports(connection, known)

    # Attempts

    def claim_attempt(self, trial: int, attempt: Attempt) -> None:
        """Write the next attempt of an unfinished trial.

        Raises:
            ConflictError: the trial is unknown or finished, the study has ended, or the number is not the next one after
                an ended attempt, and this is no repetition of its own claim.
        """
        with self._transaction() as (connection, study):
            row = self._trial(connection, trial)
            what = f"attempt {attempt.number} of trial {trial}"
            known = rows.find_attempt(connection, row.trial_id, attempt.number)
            if known and [known.number, known.generation, known.claimed_at] == codec.attempt_content(attempt):
                return
            last = rows.last_attempt(connection, row.trial_id)
            if row.told_json is not None or last.ended_json is None or attempt.number != last.number + 1:
                state = "finished" if row.told_json is not None else "running" if last.ended_json is None else "waiting"
                raise ConflictError(
                    f"{what} of {self.study_name} cannot be claimed: the trial is {state} after attempt {last.number}"
                )
            self._refuse_after_verdict(study, what)
            rows.insert_attempt(connection, row.trial_id, attempt)

    def mark_started(self, trial: int, attempt: int, at: float) -> bool:
        """Record when the runtime accepted it; the first time wins. Returns whether this time is the recorded one."""
        return self._record_of_attempt(trial, attempt, "started_at", at)

    def request_stop(self, trial: int, attempt: int, reason: StopReason) -> bool:
        """Record why it is to stop; the first reason wins. Returns whether this reason is the recorded one."""
        return self._record_of_attempt(trial, attempt, "stop_reason", reason.value)

    def post_result(
        self,
        trial: int,
        attempt: int,
        metrics: Mapping[str, float],
        *,
        pruned: bool,
        diagnoses: Sequence[Diagnosis] = (),
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> bool:
        """Record the result that the attempt sent; the first one wins, and none is taken once the attempt is concluded.

        Returns whether this result is the recorded one, so that a repeated post is accepted like the first.
        """
        posted = codec.posted_to_json(metrics, pruned=pruned, diagnoses=diagnoses, notes=notes)
        return self._record_of_attempt(trial, attempt, "posted_json", posted)

    def conclude(self, trial: int, attempt: int, ended: Ended, *, last_step: int, gpu_seconds: float, tell: Tell | None) -> None:
        """Record how an attempt ended and, with `tell`, that its trial is finished then, with the attempt's metrics.

        Raises:
            ValueError: the tell has no value where its state needs one, or one where it must not.
            ConflictError: the attempt is unknown or concluded otherwise, or the trial is finished otherwise or has a newer
                attempt.
        """
        if tell is not None:
            _check(tell)
        end = {"ended_json": codec.ended_to_json(ended), "last_step": last_step, "gpu_seconds": gpu_seconds}
        with self._transaction() as (connection, _):
            trial_id = rows.record(connection, self._study_id, trial, attempt, first="ended_json", values=end)
            if trial_id is None:
                trial_id = self._concluded_before(connection, trial, attempt, end, told=tell is not None)
            if tell is not None:
                self._finish(connection, trial_id, trial, tell, at=ended.at, ended=ended)

    # Parts of transactions

    @contextmanager
    def _transaction(self) -> Iterator[Locked]:
        """A write. Its first statement locks the study's row, so a study's writes are serial and a former owner's are none."""
        if self._joined is not None:
            yield self._joined
            return
        with self._connections.writing() as connection:
            study = rows.lock_study(connection, self._study_id, self.fence)
            if study is None:
                raise self._fenced()
            yield connection, study

    @property
    def _owned(self) -> sa.ColumnElement[bool]:
        return sa.and_(studies.c.study_id == self._study_id, studies.c.fence == self.fence)

    def _fenced(self) -> FencedError:
        return FencedError(
            f"study {self.study_name} has been taken over by another owner, or deleted: this one was its number {self.fence}"
        )

    def _record_once(self, column: str, text: str, *, what: str) -> None:
        with self._transaction() as (connection, study):
            stored = getattr(study, column)
            if stored is None:
                rows.update_study(connection, self._study_id, {column: text})
            else:
                self._refuse_another(what, stored, text)

    def _refuse_another(self, what: str, stored: str, text: str) -> None:
        if stored != text:
            raise ConflictError(f"study {self.study_name} has another {what} already: {stored}")

    def _refuse_after_verdict(self, study: AnyRow, what: str) -> None:
        if study.verdict_json is not None:
            raise ConflictError(f"{what} of {self.study_name} cannot be claimed: the study has ended")

    def _trial(self, connection: sa.Connection, number: int) -> AnyRow:
        row = rows.find_trial(connection, self._study_id, number)
        if row is None:
            raise ConflictError(f"study {self.study_name} has no trial {number}")
        return row

    def _attempt(self, connection: sa.Connection, trial: int, attempt: int) -> AnyRow:
        row = rows.find_attempt(connection, self._trial(connection, trial).trial_id, attempt)
        if row is None:
            raise ConflictError(f"trial {trial} of {self.study_name} has no attempt {attempt}")
        return row

    def _record_of_attempt(self, trial: int, attempt: int, column: str, value: object) -> bool:
        with self._transaction() as (connection, _):
            if rows.record(connection, self._study_id, trial, attempt, first=column, values={column: value}) is not None:
                return True
            return bool(getattr(self._attempt(connection, trial, attempt), column) == value)

    def _concluded_before(
        self, connection: sa.Connection, trial: int, attempt: int, end: Mapping[str, object], *, told: bool
    ) -> int:
        """Prove that an attempt that is concluded already is concluded like this. Returns the id of its trial."""
        known = self._attempt(connection, trial, attempt)
        if end != {column: getattr(known, column) for column in end}:
            raise ConflictError(f"attempt {attempt} of trial {trial} of {self.study_name} is concluded otherwise already")
        # Only an attempt that was concluded before can have a newer one.
        if told and rows.last_attempt(connection, known.trial_id).number != attempt:
            raise ConflictError(f"trial {trial} of {self.study_name} cannot be told with attempt {attempt}: it has a newer one")
        return int(known.trial_id)

    def _finish(self, connection: sa.Connection, trial_id: int, number: int, tell: Tell, *, at: float, ended: Ended) -> None:
        told = codec.told_to_json(tell, at)
        if not optuna_sql.finish_trial(connection, trial_id, state=tell.state, value=tell.value, at=at):
            stored = optuna_sql.read_trial(connection, trial_id)
            if (stored.state, stored.value, self._trial(connection, number).told_json) != (tell.state, tell.value, told):
                raise ConflictError(f"trial {number} of {self.study_name} is finished otherwise already: {stored.state}")
            return
        rows.mark_told(connection, trial_id, told)
        optuna_sql.set_user_attributes(connection, trial_id, attributes.at_end(tell, ended.metrics, ended.diagnoses))
        detail = {"state": tell.state, "value": tell.value, "reason": tell.reason}
        rows.append_event(connection, self._study_id, kind=EventKind.TELL, trial=number, at=at, detail=detail)


def _params(trial: Trial, space: Sequence[Parameter]) -> list[optuna_sql.Param]:
    return [
        optuna_sql.Param(
            name=parameter.name,
            stored=stored_value(parameter.domain, trial.parameters[parameter.name]),
            distribution=distribution_json(parameter.domain),
        )
        for parameter in space
        if parameter.name in trial.parameters
    ]


def _check(tell: Tell) -> None:
    valued = tell.value is not None and not math.isnan(tell.value)
    fine = {
        TrialState.COMPLETE: valued,
        TrialState.PRUNED: tell.value is None or valued,
        TrialState.FAIL: tell.value is None,
        TrialState.RUNNING: False,
    }
    if not fine[tell.state]:
        raise ValueError(f"a trial cannot be told {tell.state} with value {tell.value}; COMPLETE needs a number, FAIL none")

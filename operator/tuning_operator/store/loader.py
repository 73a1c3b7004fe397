"""A study from its rows: a few queries whatever the number of trials, and each distribution parsed once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import sqlalchemy as sa

from tuning_operator.api.parameters import ParameterValue
from tuning_operator.engine.facts import Attempt, Role, StopReason, Trial, TrialState
from tuning_operator.store import codec, optuna_sql, tables
from tuning_operator.store.distributions import value_reader
from tuning_operator.store.errors import ForeignWriteError
from tuning_operator.store.records import Event, EventKind, StoredStudy
from tuning_operator.store.rows import AnyRow

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What belongs to each trial, by its id."""

    params: Mapping[int, dict[str, ParameterValue]]
    reports: Mapping[int, dict[int, float]]
    arrivals: Mapping[int, dict[int, int]]
    sampler_state: Mapping[int, dict[str, str]]
    attempts: Mapping[int, list[AnyRow]]


def load_study(connection: sa.Connection, study: AnyRow, study_name: str) -> StoredStudy:
    """The study of a row of `tuning_studies`.

    Raises:
        ForeignWriteError: it holds trials, or ends of trials, that the operator did not write.
    """
    ours = connection.execute(sa.select(tables.trials).where(tables.trials.c.study_id == study.study_id)).all()
    theirs = optuna_sql.read_trials(connection, study.study_id)
    _refuse_foreign_writes(ours, theirs, study_name)
    parts = _read_parts(connection, study.study_id)
    stored = {row.trial_id: row for row in theirs}
    trials = sorted((_trial(row, stored[row.trial_id], parts) for row in ours), key=lambda trial: trial.number)
    return StoredStudy(
        spec_json=study.spec_json,
        began_at=study.began_at,
        choice=_if(codec.choice_from_json, study.choice_json),
        verdict=_if(codec.verdict_from_json, study.verdict_json),
        trials=tuple(trials),
        exhausted=study.exhausted,
        search_end=_if(codec.verdict_from_json, study.search_end_json),
        gpu_seconds={
            (row.number, attempt.number): attempt.gpu_seconds
            for row in ours
            for attempt in parts.attempts[row.trial_id]
            if attempt.ended_json is not None
        },
    )


def _refuse_foreign_writes(ours: Sequence[AnyRow], theirs: Sequence[optuna_sql.TrialRow], study_name: str) -> None:
    told = {row.trial_id: row.told_json is not None for row in ours}
    added = [row.number if row.number is not None else -1 for row in theirs if row.trial_id not in told]
    if added:
        raise ForeignWriteError(study_name, added, "added")
    changed = [row.number or 0 for row in theirs if told[row.trial_id] != (row.state != TrialState.RUNNING)]
    if changed:
        raise ForeignWriteError(study_name, changed, "finished or changed")


def _read_parts(connection: sa.Connection, study_id: int) -> _Parts:
    reader = cache(value_reader)
    params: dict[int, dict[str, ParameterValue]] = defaultdict(dict)
    for trial_id, name, stored, distribution in optuna_sql.read_params(connection, study_id):
        params[trial_id][name] = reader(distribution)(stored)
    reports: dict[int, dict[int, float]] = defaultdict(dict)
    arrivals: dict[int, dict[int, int]] = defaultdict(dict)
    for trial_id, step, value, number in optuna_sql.read_reports(connection, study_id):
        reports[trial_id][step] = value
        arrivals[trial_id][step] = number
    sampler_state: dict[int, dict[str, str]] = defaultdict(dict)
    for trial_id, key, text in optuna_sql.read_system_attributes(connection, study_id):
        sampler_state[trial_id][key] = text
    attempts: dict[int, list[AnyRow]] = defaultdict(list)
    query = (
        sa.select(tables.attempts)
        .join_from(tables.attempts, tables.trials)
        .where(tables.trials.c.study_id == study_id)
        .order_by(tables.attempts.c.trial_id, tables.attempts.c.number)
    )
    for row in connection.execute(query):
        attempts[row.trial_id].append(row)
    return _Parts(params=params, reports=reports, arrivals=arrivals, sampler_state=sampler_state, attempts=attempts)


def _trial(row: AnyRow, stored: optuna_sql.TrialRow, parts: _Parts) -> Trial:
    attempts = tuple(_attempt(attempt) for attempt in parts.attempts[row.trial_id])
    told = _if(codec.told_from_json, row.told_json)
    last = attempts[-1].ended
    return Trial(
        number=row.number,
        role=Role(row.role),
        parameters=parts.params.get(row.trial_id, {}),
        seed=row.seed,
        claimed_at=row.claimed_at,
        attempts=attempts,
        state=TrialState(stored.state),
        value=stored.value,
        reason=told.reason if told else "",
        message=told.message if told else "",
        finished_at=told.at if told else None,
        metrics=last.metrics if told and last else {},
        diagnoses=last.diagnoses if told and last else (),
        reports=parts.reports.get(row.trial_id, {}),
        arrivals=parts.arrivals.get(row.trial_id, {}),
        sampler_state=parts.sampler_state.get(row.trial_id, {}),
    )


def _attempt(row: AnyRow) -> Attempt:
    posted = _if(codec.posted_from_json, row.posted_json)
    return Attempt(
        number=row.number,
        generation=row.generation,
        claimed_at=row.claimed_at,
        started_at=row.started_at,
        stop_reason=_if(StopReason, row.stop_reason),
        posted=posted.metrics if posted else None,
        posted_pruned=posted.pruned if posted else False,
        posted_diagnoses=posted.diagnoses if posted else (),
        posted_notes=posted.notes if posted else {},
        ended=_if(codec.ended_from_json, row.ended_json),
        last_step=row.last_step,
    )


def _if(read: Callable[[str], _T], text: str | None) -> _T | None:
    return None if text is None else read(text)


def read_events(connection: sa.Connection, study_id: int) -> tuple[Event, ...]:
    """The log of a study, oldest first."""
    query = sa.select(tables.events).where(tables.events.c.study_id == study_id).order_by(tables.events.c.sequence)
    return tuple(
        Event(
            sequence=row.sequence,
            kind=EventKind(row.kind),
            trial=row.trial,
            at=row.at,
            detail=json.loads(row.detail_json),
        )
        for row in connection.execute(query)
    )

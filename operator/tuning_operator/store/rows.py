"""Statements on our own tables, for use inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa

from tuning_operator.engine.facts import Attempt, Trial
from tuning_operator.store import optuna_sql
from tuning_operator.store.codec import to_json
from tuning_operator.store.records import EventKind
from tuning_operator.store.tables import attempts, events, studies, trials

AnyRow: TypeAlias = "sa.Row[*tuple[Any, ...]]"


def forget_deleted_studies(connection: sa.Connection) -> None:
    """Remove what is left of studies that were deleted with Optuna's tools, which do not cascade on SQLite."""
    connection.execute(sa.delete(studies).where(~optuna_sql.study_exists(studies.c.study_id)))


def newest_trial(connection: sa.Connection, study_id: int) -> AnyRow | None:
    """The trial with the largest number, None before the first."""
    query = sa.select(trials).where(trials.c.study_id == study_id).order_by(trials.c.number.desc()).limit(1)
    return connection.execute(query).one_or_none()


def find_trial(connection: sa.Connection, study_id: int, number: int) -> AnyRow | None:
    """The trial of that number."""
    query = sa.select(trials).where(trials.c.study_id == study_id, trials.c.number == number)
    return connection.execute(query).one_or_none()


def insert_trial(connection: sa.Connection, study_id: int, trial: Trial, *, trial_id: int, claim_digest: str) -> None:
    """A claimed trial, as far as it is ours. The unique number makes the claim."""
    row = {
        "trial_id": trial_id,
        "study_id": study_id,
        "number": trial.number,
        "role": trial.role,
        "seed": trial.seed,
        "claimed_at": trial.claimed_at,
        "claim_digest": claim_digest,
    }
    connection.execute(sa.insert(trials).values(row))


def unfinished_trial_ids(connection: sa.Connection, study_id: int, numbers: set[int]) -> dict[int, int]:
    """Ids of those of these trials that are not told, by number."""
    query = sa.select(trials.c.number, trials.c.trial_id).where(
        trials.c.study_id == study_id, trials.c.number.in_(numbers), trials.c.told_json.is_(None)
    )
    return {row.number: row.trial_id for row in connection.execute(query)}


def mark_told(connection: sa.Connection, trial_id: int, told_json: str) -> None:
    """Record the end of a trial as far as it is ours."""
    connection.execute(sa.update(trials).where(trials.c.trial_id == trial_id).values(told_json=told_json))


def last_attempt(connection: sa.Connection, trial_id: int) -> AnyRow:
    """The trial's newest attempt; there is always one."""
    query = sa.select(attempts).where(attempts.c.trial_id == trial_id).order_by(attempts.c.number.desc()).limit(1)
    return connection.execute(query).one()


def find_attempt(connection: sa.Connection, trial_id: int, number: int) -> AnyRow | None:
    """The attempt of that number."""
    return connection.execute(sa.select(attempts).where(*_is(trial_id, number))).one_or_none()


def insert_attempt(connection: sa.Connection, trial_id: int, attempt: Attempt) -> None:
    """A claimed attempt, to which nothing has happened."""
    row = {
        "trial_id": trial_id,
        "number": attempt.number,
        "generation": attempt.generation,
        "claimed_at": attempt.claimed_at,
        "last_step": attempt.last_step,
        "gpu_seconds": 0.0,
    }
    connection.execute(sa.insert(attempts).values(row))


def update_attempt(connection: sa.Connection, trial_id: int, number: int, values: Mapping[str, object]) -> None:
    """Set columns of an attempt."""
    connection.execute(sa.update(attempts).where(*_is(trial_id, number)).values(**values))


def append_event(
    connection: sa.Connection, study_id: int, *, kind: EventKind, trial: int, at: float, detail: Mapping[str, object]
) -> None:
    """The next line of the study's log. Gap-free: writers of a study are serial, and a rolled back one takes its line along."""
    last = sa.select(sa.func.coalesce(sa.func.max(events.c.sequence), 0)).where(events.c.study_id == study_id)
    row = {
        "study_id": study_id,
        "sequence": last.scalar_subquery() + 1,
        "kind": kind,
        "trial": trial,
        "at": at,
        "detail_json": to_json(dict(detail)),
    }
    connection.execute(sa.insert(events).values(row))


def _is(trial_id: int, number: int) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return attempts.c.trial_id == trial_id, attempts.c.number == number

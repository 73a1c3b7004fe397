"""Statements on our own tables, for use inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from tuning_operator.engine.facts import Attempt, Trial
from tuning_operator.store import optuna_sql
from tuning_operator.store.codec import to_json
from tuning_operator.store.records import EventKind
from tuning_operator.store.tables import attempts, events, studies, trials

AnyRow: TypeAlias = "sa.Row[*tuple[Any, ...]]"

# Statements are made once: building one costs as much as sending it.
_STUDY: Final = studies.c.study_id == sa.bindparam("of_study")
_TRIAL: Final = sa.and_(trials.c.study_id == sa.bindparam("of_study"), trials.c.number == sa.bindparam("of_trial"))
_ATTEMPT: Final = sa.and_(attempts.c.trial_id == sa.bindparam("of_trial_id"), attempts.c.number == sa.bindparam("of_attempt"))


# Studies

# On SQLite the transaction has locked everything before, and FOR UPDATE is nothing.
_LOCK: Final = (
    sa.select(studies.c.choice_json, studies.c.verdict_json, studies.c.search_end_json)
    .where(_STUDY, studies.c.fence == sa.bindparam("of_fence"))
    .with_for_update(key_share=True)
)
_UPDATE_STUDY: Final = sa.update(studies).where(_STUDY)


def forget_deleted_studies(connection: sa.Connection) -> None:
    """Remove what is left of studies that were deleted with Optuna's tools, which do not cascade on SQLite."""
    connection.execute(sa.delete(studies).where(~optuna_sql.study_exists(studies.c.study_id)))


def lock_study(connection: sa.Connection, study_id: int, fence: int) -> AnyRow | None:
    """Wait until nobody else writes into the study; then what is decided about it, or None when it has another owner."""
    return connection.execute(_LOCK, {"of_study": study_id, "of_fence": fence}).one_or_none()


def update_study(connection: sa.Connection, study_id: int, values: Mapping[str, object]) -> None:
    """Set columns of a study."""
    connection.execute(_UPDATE_STUDY, {"of_study": study_id, **values})


# Trials

_NEWEST_TRIAL: Final = (
    sa.select(trials).where(trials.c.study_id == sa.bindparam("of_study")).order_by(trials.c.number.desc()).limit(1)
)
_FIND_TRIAL: Final = sa.select(trials).where(_TRIAL)
_INSERT_TRIAL: Final = sa.insert(trials)
_MARK_TOLD: Final = sa.update(trials).where(trials.c.trial_id == sa.bindparam("of_trial_id"))


def newest_trial(connection: sa.Connection, study_id: int) -> AnyRow | None:
    """The trial with the largest number, None before the first."""
    return connection.execute(_NEWEST_TRIAL, {"of_study": study_id}).one_or_none()


def find_trial(connection: sa.Connection, study_id: int, number: int) -> AnyRow | None:
    """The trial of that number."""
    return connection.execute(_FIND_TRIAL, {"of_study": study_id, "of_trial": number}).one_or_none()


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
    connection.execute(_INSERT_TRIAL, row)


def unfinished_trial_ids(connection: sa.Connection, study_id: int, numbers: set[int]) -> dict[int, int]:
    """Ids of those of these trials that are not told, by number."""
    query = sa.select(trials.c.number, trials.c.trial_id).where(
        trials.c.study_id == study_id, trials.c.number.in_(numbers), trials.c.told_json.is_(None)
    )
    return {row.number: row.trial_id for row in connection.execute(query)}


def mark_told(connection: sa.Connection, trial_id: int, told_json: str) -> None:
    """Record the end of a trial as far as it is ours."""
    connection.execute(_MARK_TOLD, {"of_trial_id": trial_id, "told_json": told_json})


# Attempts

_LAST_ATTEMPT: Final = (
    sa.select(attempts).where(attempts.c.trial_id == sa.bindparam("of_trial_id")).order_by(attempts.c.number.desc()).limit(1)
)
_FIND_ATTEMPT: Final = sa.select(attempts).where(_ATTEMPT)
_INSERT_ATTEMPT: Final = sa.insert(attempts)


def last_attempt(connection: sa.Connection, trial_id: int) -> AnyRow:
    """The trial's newest attempt; there is always one."""
    return connection.execute(_LAST_ATTEMPT, {"of_trial_id": trial_id}).one()


def find_attempt(connection: sa.Connection, trial_id: int, number: int) -> AnyRow | None:
    """The attempt of that number."""
    return connection.execute(_FIND_ATTEMPT, {"of_trial_id": trial_id, "of_attempt": number}).one_or_none()


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
    connection.execute(_INSERT_ATTEMPT, row)


@cache
def _record(first: str) -> sa.UpdateBase:
    return (
        sa.update(attempts)
        .where(
            attempts.c.trial_id == sa.select(trials.c.trial_id).where(_TRIAL).scalar_subquery(),
            attempts.c.number == sa.bindparam("of_attempt"),
            attempts.c.ended_json.is_(None),
            attempts.c[first].is_(None),
        )
        .returning(attempts.c.trial_id)
    )


def record(
    connection: sa.Connection, study_id: int, trial: int, attempt: int, *, first: str, values: Mapping[str, object]
) -> int | None:
    """Set columns of an attempt that is not concluded and of which the column `first` is empty.

    Returns the id of its trial, or None when there is no such attempt: then nothing is written.
    """
    which = {"of_study": study_id, "of_trial": trial, "of_attempt": attempt}
    return connection.execute(_record(first), {**which, **values}).scalar_one_or_none()


# The log

_APPEND_EVENT: Final = sa.insert(events).values(
    {
        **{name: sa.bindparam(name) for name in ("study_id", "kind", "trial", "at", "detail_json")},
        "sequence": sa.select(sa.func.coalesce(sa.func.max(events.c.sequence), 0) + 1)
        .where(events.c.study_id == sa.bindparam("of_study"))
        .scalar_subquery(),
    }
)


def append_event(
    connection: sa.Connection, study_id: int, *, kind: EventKind, trial: int, at: float, detail: Mapping[str, object]
) -> None:
    """The next line of the study's log. Gap-free: writers of a study are serial, and a rolled back one takes its line along."""
    row = {"study_id": study_id, "kind": kind, "trial": trial, "at": at, "detail_json": to_json(dict(detail))}
    connection.execute(_APPEND_EVENT, {"of_study": study_id, **row})

"""Optuna's tables, addressed with our own SQL. All of it stands here, written for one schema head.

A mirror of the few tables and columns used, since importing Optuna is for other processes: they create the tables
(`schema.py`). Stock Optuna and its dashboard read what is written here at any time; every contract test ends with
stock Optuna loading the study. Storing as Optuna does means:

- datetimes are naive UTC, enum columns hold the member's name;
- an infinity, and in reports NaN, is a type beside an empty value;
- attributes are JSON texts;
- a trial's number is how many older trials its study has.

Sources: optuna/storages/_rdb/models.py and storage.py of Optuna 5.0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tuning_operator.engine.facts import TrialState

OPTUNA_HEAD: Final = "v3.2.0.a"
OPTUNA_VERSION_TABLE: Final = "alembic_version"

_metadata = sa.MetaData()
_Row: TypeAlias = "sa.Row[*tuple[Any, ...]]"


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name)


studies = sa.Table(
    "studies",
    _metadata,
    sa.Column("study_id", sa.Integer, primary_key=True),
    sa.Column("study_name", sa.String(512), unique=True, nullable=False),
)
study_directions = sa.Table(
    "study_directions",
    _metadata,
    sa.Column("study_direction_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, nullable=False),
    sa.Column("objective", sa.Integer, nullable=False),
    sa.Column("direction", _words("studydirection", "NOT_SET", "MINIMIZE", "MAXIMIZE"), nullable=False),
)
trials = sa.Table(
    "trials",
    _metadata,
    sa.Column("trial_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer),
    sa.Column("number", sa.Integer),
    sa.Column("state", _words("trialstate", "RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"), nullable=False),
    sa.Column("datetime_start", sa.DateTime),
    sa.Column("datetime_complete", sa.DateTime),
)
trial_params = sa.Table(
    "trial_params",
    _metadata,
    sa.Column("param_id", sa.Integer, primary_key=True),
    sa.Column("trial_id", sa.Integer),
    sa.Column("param_name", sa.String(512)),
    sa.Column("param_value", sa.Double),
    sa.Column("distribution_json", sa.Text),
)
trial_values = sa.Table(
    "trial_values",
    _metadata,
    sa.Column("trial_value_id", sa.Integer, primary_key=True),
    sa.Column("trial_id", sa.Integer, nullable=False),
    sa.Column("objective", sa.Integer, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("value_type", _words("trialvaluetype", "FINITE", "INF_POS", "INF_NEG"), nullable=False),
)
trial_intermediate_values = sa.Table(
    "trial_intermediate_values",
    _metadata,
    sa.Column("trial_intermediate_value_id", sa.Integer, primary_key=True),
    sa.Column("trial_id", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("intermediate_value", sa.Double),
    sa.Column(
        "intermediate_value_type",
        _words("trialintermediatevaluetype", "FINITE", "INF_POS", "INF_NEG", "NAN"),
        nullable=False,
    ),
)
trial_user_attributes = sa.Table(
    "trial_user_attributes",
    _metadata,
    sa.Column("trial_user_attribute_id", sa.Integer, primary_key=True),
    sa.Column("trial_id", sa.Integer),
    sa.Column("key", sa.String(512)),
    sa.Column("value_json", sa.Text),
)
trial_system_attributes = sa.Table(
    "trial_system_attributes",
    _metadata,
    sa.Column("trial_system_attribute_id", sa.Integer, primary_key=True),
    sa.Column("trial_id", sa.Integer),
    sa.Column("key", sa.String(512)),
    sa.Column("value_json", sa.Text),
)


@cache
def insert_ignoring(dialect: str, table: sa.Table) -> Any:
    """INSERT ... ON CONFLICT DO NOTHING, in the words of this database."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


@cache
def _insert_many_ignoring(dialect: str, table: sa.Table) -> Any:
    # RETURNING makes SQLAlchemy send one statement with many rows.
    return insert_ignoring(dialect, table).returning(table.c.trial_id)


# Studies


def ensure_study(connection: sa.Connection, study_name: str, direction: str) -> int:
    """The id of the study of that name, created when there is none. Its stored direction wins."""
    connection.execute(insert_ignoring(connection.dialect.name, studies).values(study_name=study_name))
    study_id = connection.execute(sa.select(studies.c.study_id).where(studies.c.study_name == study_name)).scalar_one()
    first = {"study_id": study_id, "objective": 0, "direction": direction.upper()}
    connection.execute(insert_ignoring(connection.dialect.name, study_directions).values(**first))
    return int(study_id)


def direction_of(connection: sa.Connection, study_id: int) -> str:
    """`maximize` or `minimize`."""
    query = sa.select(study_directions.c.direction).where(study_directions.c.study_id == study_id)
    return str(connection.execute(query).scalar_one()).lower()


def study_exists(study_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether Optuna has a study of that id, for use in another statement's WHERE."""
    return sa.exists().where(studies.c.study_id == study_id)


# Trials


@dataclass(frozen=True, kw_only=True)
class Param:
    """A parameter of one trial."""

    name: str
    stored: float
    distribution: str


# Statements are made once: building one costs as much as sending it.
_INSERT_TRIAL: Final = sa.insert(trials).returning(trials.c.trial_id)
_INSERT_PARAMS: Final = sa.insert(trial_params).returning(trial_params.c.param_id)
_INSERT_VALUE: Final = sa.insert(trial_values)
_FINISH_TRIAL: Final = sa.update(trials).where(trials.c.trial_id == sa.bindparam("of_trial_id"), trials.c.state == "RUNNING")
_FOREIGN_NUMBERS: Final = (
    sa.select(trials.c.number)
    .where(
        trials.c.study_id == sa.bindparam("of_study"),
        trials.c.trial_id > sa.bindparam("previous"),
        trials.c.trial_id != sa.bindparam("inserted"),
    )
    .order_by(trials.c.trial_id)
)


def insert_running_trial(
    connection: sa.Connection,
    *,
    study_id: int,
    number: int,
    at: float,
    params: Sequence[Param],
    user_attributes: Mapping[str, object],
    system_attributes: Mapping[str, str],
) -> int:
    """A whole trial in state RUNNING; user attributes as values, system attributes as JSON texts. Returns its id."""
    row = {"study_id": study_id, "number": number, "state": "RUNNING", "datetime_start": _utc(at)}
    trial_id = int(connection.execute(_INSERT_TRIAL, row).scalar_one())
    if params:
        connection.execute(
            _INSERT_PARAMS,
            [
                {"trial_id": trial_id, "param_name": p.name, "param_value": p.stored, "distribution_json": p.distribution}
                for p in params
            ],
        )
    set_user_attributes(connection, trial_id, user_attributes)
    _insert_attributes(connection, trial_system_attributes, trial_id, system_attributes)
    return trial_id


def foreign_numbers(connection: sa.Connection, study_id: int, *, previous: int, inserted: int) -> list[int]:
    """Numbers of trials that others added to the study after our previous trial (an id, 0 for none).

    To be asked after inserting our own: that waits for another Optuna writer, which locks the study's row while it adds.
    """
    which = {"of_study": study_id, "previous": previous, "inserted": inserted}
    return [number if number is not None else -1 for number in connection.execute(_FOREIGN_NUMBERS, which).scalars()]


def finish_trial(connection: sa.Connection, trial_id: int, *, state: TrialState, value: float | None, at: float) -> bool:
    """Tell Optuna the end of a trial; False when it is finished already, then nothing is written."""
    end = {"of_trial_id": trial_id, "state": state.name, "datetime_complete": _utc(at)}
    if connection.execute(_FINISH_TRIAL, end).rowcount != 1:
        return False
    if value is not None:
        number, kind = _stored(value)
        connection.execute(_INSERT_VALUE, {"trial_id": trial_id, "objective": 0, "value": number, "value_type": kind})
    return True


def set_user_attributes(connection: sa.Connection, trial_id: int, attributes: Mapping[str, object]) -> None:
    """Add attributes for people's eyes; one that exists is left as it is."""
    _insert_attributes(connection, trial_user_attributes, trial_id, {key: json.dumps(value) for key, value in attributes.items()})


def insert_reports(connection: sa.Connection, points: Sequence[tuple[int, int, float]]) -> None:
    """Intermediate values (trial id, step, value): the first value of a step wins."""
    rows = []
    for trial_id, step, value in points:
        number, kind = _stored(value)
        rows.append({"trial_id": trial_id, "step": step, "intermediate_value": number, "intermediate_value_type": kind})
    connection.execute(_insert_many_ignoring(connection.dialect.name, trial_intermediate_values), rows)


def _insert_attributes(connection: sa.Connection, table: sa.Table, trial_id: int, texts: Mapping[str, str]) -> None:
    if texts:
        rows = [{"trial_id": trial_id, "key": key, "value_json": text} for key, text in texts.items()]
        connection.execute(_insert_many_ignoring(connection.dialect.name, table), rows)


# Reading


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """The state and value of a trial."""

    trial_id: int
    number: int | None
    state: str  # Optuna's word, lower case; may be `waiting`
    value: float | None


_TRIAL = sa.select(
    trials.c.trial_id, trials.c.number, trials.c.state, trial_values.c.value, trial_values.c.value_type
).outerjoin_from(trials, trial_values, sa.and_(trial_values.c.trial_id == trials.c.trial_id, trial_values.c.objective == 0))


def read_trial(connection: sa.Connection, trial_id: int) -> TrialRow:
    """One trial."""
    return _trial_row(connection.execute(_TRIAL.where(trials.c.trial_id == trial_id)).one())


def read_trials(connection: sa.Connection, study_id: int) -> list[TrialRow]:
    """All trials of a study, oldest first."""
    query = _TRIAL.where(trials.c.study_id == study_id).order_by(trials.c.trial_id)
    return [_trial_row(row) for row in connection.execute(query)]


def read_params(connection: sa.Connection, study_id: int) -> Sequence[_Row]:
    """(trial id, name, stored value, distribution's JSON text) of a study, each trial's in the order of the space."""
    p = trial_params.c
    query = sa.select(p.trial_id, p.param_name, p.param_value, p.distribution_json).order_by(p.param_id)
    return connection.execute(_of_study(query, trial_params, study_id)).all()


def read_reports(connection: sa.Connection, study_id: int) -> list[tuple[int, int, float, int]]:
    """(trial id, step, value, number of the row) of a study, by step. Rows are numbered in the order in which reports came."""
    v = trial_intermediate_values.c
    columns = (v.trial_id, v.step, v.intermediate_value, v.intermediate_value_type, v.trial_intermediate_value_id)
    rows = connection.execute(_of_study(sa.select(*columns).order_by(v.step), trial_intermediate_values, study_id))
    return [(trial_id, step, _loaded(value, kind), number) for trial_id, step, value, kind, number in rows]


def read_system_attributes(connection: sa.Connection, study_id: int) -> Sequence[_Row]:
    """(trial id, key, JSON text) of a study."""
    a = trial_system_attributes.c
    query = sa.select(a.trial_id, a.key, a.value_json)
    return connection.execute(_of_study(query, trial_system_attributes, study_id)).all()


def _of_study(query: sa.Select[Any], table: sa.Table, study_id: int) -> sa.Select[Any]:
    return query.join_from(table, trials, table.c.trial_id == trials.c.trial_id).where(trials.c.study_id == study_id)


def _trial_row(row: _Row) -> TrialRow:
    trial_id, number, state, value, kind = row
    return TrialRow(trial_id=trial_id, number=number, state=state.lower(), value=kind and _loaded(value, kind))


# Values


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)


def _stored(value: float) -> tuple[float | None, str]:
    if math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return value, "FINITE"


_NOT_FINITE: Final = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}


def _loaded(value: float | None, kind: str) -> float:
    return _NOT_FINITE[kind] if value is None else value

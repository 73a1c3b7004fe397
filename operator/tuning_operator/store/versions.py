"""Whether the tables are those this program was written for."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from tuning_operator.store.errors import SchemaMismatchError
from tuning_operator.store.optuna_sql import OPTUNA_HEAD, OPTUNA_VERSION_TABLE
from tuning_operator.store.tables import TUNING_HEAD, TUNING_REVISIONS, TUNING_VERSION_TABLE

_CREATE: Final = "create the tables with `python -m tuning_operator.store.schema`"


def head_of(connection: sa.Connection, version_table: str) -> str | None:
    """The revision that an Alembic version table names, None without one."""
    if not sa.inspect(connection).has_table(version_table):
        return None
    table = sa.table(version_table, sa.column("version_num", sa.String))
    return connection.execute(sa.select(table.c.version_num)).scalar_one_or_none()


def refuse_unknown(connection: sa.Connection) -> None:
    """Refuse tables that this program can neither use nor bring up to date.

    Raises:
        SchemaMismatchError: Optuna's tables are of another version, or ours of a newer program.
    """
    found = head_of(connection, OPTUNA_VERSION_TABLE)
    if found not in {None, OPTUNA_HEAD}:
        raise SchemaMismatchError(
            schema="Optuna",
            found=found,
            expected=OPTUNA_HEAD,
            remedy="use a database of its own, or the tuning-operator that goes with that Optuna",
        )
    found = head_of(connection, TUNING_VERSION_TABLE)
    if found is not None and found not in TUNING_REVISIONS:
        raise SchemaMismatchError(
            schema="tuning",
            found=found,
            expected=TUNING_HEAD,
            remedy="a newer tuning-operator has changed it: run that version or a newer one",
        )


def require_current(connection: sa.Connection) -> None:
    """Refuse tables that are not exactly those this program was written for.

    Raises:
        SchemaMismatchError: they are not.
    """
    refuse_unknown(connection)
    heads = (("Optuna", OPTUNA_VERSION_TABLE, OPTUNA_HEAD), ("tuning", TUNING_VERSION_TABLE, TUNING_HEAD))
    for schema, version_table, expected in heads:
        found = head_of(connection, version_table)
        if found != expected:
            raise SchemaMismatchError(schema=schema, found=found, expected=expected, remedy=_CREATE)


def missing_file() -> SchemaMismatchError:
    """What to say of a SQLite file that is not there; opening it would make an empty one."""
    return SchemaMismatchError(schema="Optuna", found=None, expected=OPTUNA_HEAD, remedy=_CREATE)

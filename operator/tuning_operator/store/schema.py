"""`python -m tuning_operator.store.schema [URL]`: create the tables, or bring ours up to date. A process of its own.

Optuna's tables are created by Optuna itself, which the main process never imports; ours by migrations beside them. Any
number of processes may run this at once on one empty database: a lock lets one after the other. Optuna's tables are
never upgraded.

Without an argument the URL is taken from the environment variable TUNING_DATABASE_URL. The exit code is 0, or 1 after one
line of JSON on standard output that says what went wrong.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from tuning_operator.store import migrations
from tuning_operator.store.connection import Connections, database_url, is_sqlite
from tuning_operator.store.errors import DatabaseUnavailableError, SchemaMismatchError, StoreError
from tuning_operator.store.optuna_sql import OPTUNA_HEAD, OPTUNA_VERSION_TABLE
from tuning_operator.store.prepare import URL_VARIABLE, file_lock
from tuning_operator.store.tables import TUNING_HEAD
from tuning_operator.store.versions import head_of, refuse_unknown, require_current

_ADVISORY_LOCK: Final = zlib.crc32(b"tuning-operator schema")


def create(text: str) -> None:
    """Create what is missing and migrate what is ours, in the database of this URL.

    Raises:
        StoreError: as `prepare` says.
    """
    url = database_url(text)
    connections = Connections(url)
    with connections.translated(), _alone(url):
        with connections.reading() as connection:
            refuse_unknown(connection)
            complete = head_of(connection, OPTUNA_VERSION_TABLE) == OPTUNA_HEAD
        if not complete:
            _create_optuna_tables(url)
        with connections.writing() as connection:
            _migrate(connection)
            require_current(connection)
    connections.dispose()


@contextmanager
def _alone(url: sa.URL) -> Iterator[None]:
    """Let nobody else create tables; on SQLite, also switch the file to WAL mode."""
    # Not of the pool: there, waiting for a lock has a limit.
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    if is_sqlite(url):
        with file_lock(url):
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            yield
    else:
        with engine.connect() as connection:
            # Held by the session: it goes with the connection, whatever happens to this process.
            connection.execute(sa.select(sa.func.pg_advisory_lock(_ADVISORY_LOCK)))
            yield


def _create_optuna_tables(url: sa.URL) -> None:
    # Optuna takes the URL for a template.
    template = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    try:
        RDBStorage(template, engine_kwargs={"poolclass": sa.NullPool})
    except StorageInternalError as error:
        raise DatabaseUnavailableError(f"the database did not let Optuna create its tables: {error.__cause__}") from error


def _migrate(connection: sa.Connection) -> None:
    with as_file(files(migrations)) as folder:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        command.upgrade(config, TUNING_HEAD)


def _described(error: StoreError) -> str:
    arguments = vars(error) if isinstance(error, SchemaMismatchError) else {}
    return json.dumps({"kind": type(error).__name__, "message": str(error), "arguments": arguments})


def main(arguments: list[str]) -> int:
    """Create the tables of the database named on the command line or in the environment. Returns the exit code."""
    try:
        create(arguments[0] if arguments else os.environ.get(URL_VARIABLE, ""))
    except StoreError as error:
        sys.stdout.write(_described(error) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

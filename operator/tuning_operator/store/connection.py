"""Connections to PostgreSQL and SQLite: one pool per process, two kinds of transaction, typed errors.

The drivers are left in autocommit mode and we say BEGIN ourselves: it names the kind of the transaction, and it finds out
whether a connection has died in the pool before anything was done on it. Asking each one first would be a round trip more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tuning_operator.store.errors import ConflictError, DatabaseUnavailableError, DatabaseUrlError, StoreError
from tuning_operator.telemetry.metrics import DATABASE, DATABASE_FAILURES

_POOL_SIZE: Final = 4
# A server that is gone without a word is noticed within half a minute, not by the kernel's two hours. The URL may say otherwise.
_POSTGRES_CONNECTION: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # milliseconds
}
_SQLITE_BUSY_SECONDS: Final = "30"
# A process frozen in mid-transaction must not hold a study for ever: the server ends its session; whoever waits is told so.
_POSTGRES_SETTINGS: Final = "SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '30s'"

_BEGIN: Final = "tuning_begin"  # an option of SQLAlchemy's engines: how its transactions begin


@dataclass(frozen=True, kw_only=True)
class _Begin:
    """How the two kinds of transaction begin."""

    reading: str
    writing: str


# What a reader sees does not change between its queries. A writer sees what was committed before each of its statements:
# after it has waited for a lock, what the one before it has done.
_POSTGRES_BEGIN: Final = _Begin(
    reading="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", writing="BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
)
# Taking the write lock at once makes read-then-write transactions serial instead of failing at their first write.
_SQLITE_BEGIN: Final = _Begin(reading="BEGIN", writing="BEGIN IMMEDIATE")


def database_url(text: str) -> sa.URL:
    """The URL with its driver named.

    Raises:
        DatabaseUrlError: it is neither PostgreSQL nor a SQLite file.
    """
    remedy = "write postgresql://user:password@host/database or sqlite:///path/to/study.db"
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        # The text may hold a password: it is not repeated.
        raise DatabaseUrlError(f"the database URL cannot be read; {remedy}") from None
    if url.drivername in {"postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise DatabaseUrlError(f"the database URL names {url.drivername}, which is not supported; {remedy}")
    if not url.database or url.database == ":memory:":
        raise DatabaseUrlError(f"the database URL names no file; {remedy}")
    return url.set(drivername="sqlite")


def is_sqlite(url: sa.URL) -> bool:
    """Whether the database is a file for one process."""
    return url.drivername == "sqlite"


def sqlite_file(url: sa.URL) -> Path:
    """The file of a SQLite URL."""
    return Path(str(url.database))


class Connections:
    """The pool of one process. Safe for threads; at most four connections, further callers wait."""

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        # Its options may hold a password too.
        self.shown = url.set(query={}).render_as_string(hide_password=True)
        self._engine = _sqlite_engine(url) if is_sqlite(url) else _postgres_engine(url)
        begin = _SQLITE_BEGIN if is_sqlite(url) else _POSTGRES_BEGIN
        self._reader = self._engine.execution_options(**{_BEGIN: begin.reading})
        self._writer = self._engine.execution_options(**{_BEGIN: begin.writing})

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A read-only transaction on one snapshot."""
        with DATABASE.labels("read").time(), self.translated("read"), _transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, committed at the end of the block, rolled back by an exception."""
        with DATABASE.labels("write").time(), self.translated("write"), _transaction(self._writer) as connection:
            yield connection

    def dispose(self) -> None:
        """Close all idle connections."""
        self._engine.dispose()

    @contextmanager
    def translated(self, kind: str = "other") -> Iterator[None]:
        """SQLAlchemy's errors as those of this package; `kind` is how its failures are counted."""
        try:
            yield
        except (OperationalError, InterfaceError, InternalError, PoolTimeoutError) as error:
            raise self._unavailable(error, kind) from error
        except IntegrityError as error:
            raise ConflictError(f"the database refused a write that contradicts it: {_sentence(error)}") from error
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise self._unavailable(error, kind) from error
            raise StoreError(f"the database at {self.shown} refused a statement: {_sentence(error)}") from error

    def _unavailable(self, error: SQLAlchemyError, kind: str) -> DatabaseUnavailableError:
        DATABASE_FAILURES.labels(kind).inc()
        return DatabaseUnavailableError(f"the database at {self.shown} does not answer: {_sentence(error)}")


def _sentence(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause).split())


@contextmanager
def _transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    try:
        connection = _begun(engine)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        # It had died in the pool. SQLAlchemy now replaces all that are as old, and nothing has been done yet.
        connection = _begun(engine)
    with connection:
        yield connection
        connection.commit()


def _begun(engine: sa.Engine) -> sa.Connection:
    connection = engine.connect()
    try:
        connection.begin()
    except BaseException:
        connection.close()
        raise
    return connection


def _postgres_engine(url: sa.URL) -> sa.Engine:
    arguments = {name: value for name, value in _POSTGRES_CONNECTION.items() if name not in url.query}
    engine = _engine(url, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def limit(connection: Any, _record: Any) -> None:
        connection.execute(_POSTGRES_SETTINGS)

    return engine


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if "timeout" not in url.query:
        url = url.update_query_dict({"timeout": _SQLITE_BUSY_SECONDS})
    engine = _engine(url)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # In WAL mode (a property of the file, set when its tables are made) a commit survives the process, not a power cut
        # in the last moment; FULL survives both.
        connection.execute("PRAGMA synchronous = FULL")

    return engine


def _engine(url: sa.URL, **arguments: Any) -> sa.Engine:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=_POOL_SIZE, max_overflow=0, **arguments)

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()[_BEGIN])

    return engine

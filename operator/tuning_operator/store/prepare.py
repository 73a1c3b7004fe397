"""Make sure that the tables exist, without importing Optuna: a child process creates them."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from tuning_operator.store.connection import database_url, is_sqlite, sqlite_file
from tuning_operator.store.database import Database
from tuning_operator.store.errors import DatabaseUnavailableError, DatabaseUrlError, SchemaMismatchError, StoreError

URL_VARIABLE: Final = "TUNING_DATABASE_URL"
"""Environment variable with the database's URL: unlike an argument, it keeps a password out of the process list."""

_CHILD: Final = (sys.executable, "-m", "tuning_operator.store.schema")
_CHILD_SECONDS: Final = 600


def prepare(url: str) -> None:
    """Create the tables where they are missing and bring ours up to date. Any number of processes may do so at once.

    Raises:
        DatabaseUrlError: the URL is neither PostgreSQL nor a SQLite file in an existing folder.
        DatabaseUnavailableError: the database does not answer.
        SchemaMismatchError: its tables belong to another Optuna or to a newer program.
        StoreError: the tables could not be created for another reason, such as a missing right.
    """
    parsed = database_url(url)
    if is_sqlite(parsed):
        # A file just being made must not be opened by others: switching it to WAL mode needs it alone.
        with file_lock(parsed):
            ready = _ready(url)
    else:
        ready = _ready(url)
    if not ready:
        _create_in_child(url)


@contextmanager
def file_lock(url: sa.URL) -> Iterator[None]:
    """Wait until nobody else makes a SQLite file in its folder. The lock is the folder's, so no lock file stays behind.

    Raises:
        DatabaseUrlError: the folder does not exist.
    """
    folder = sqlite_file(url).resolve().parent
    if not folder.is_dir():
        raise DatabaseUrlError(f"the database URL names a file in {folder}, which is no folder; create it")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ready(url: str) -> bool:
    try:
        Database.connect(url).close()
    except SchemaMismatchError:
        return False
    return True


def _create_in_child(url: str) -> None:
    try:
        child = subprocess.run(  # noqa: S603 - our own module
            _CHILD, env={**os.environ, URL_VARIABLE: url}, capture_output=True, text=True, check=False, timeout=_CHILD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise DatabaseUnavailableError(f"creating the tables took longer than {_CHILD_SECONDS} s; try again") from error
    if child.returncode:
        raise _error_of(child)


def _error_of(child: subprocess.CompletedProcess[str]) -> StoreError:
    try:
        error = json.loads(child.stdout)
    except ValueError:
        last = child.stderr.strip().rpartition("\n")[2] or f"exit code {child.returncode}"
        return StoreError(f"the tables could not be created: {last}")
    if error["kind"] == SchemaMismatchError.__name__:
        return SchemaMismatchError(**error["arguments"])
    kinds = {kind.__name__: kind for kind in (DatabaseUnavailableError, DatabaseUrlError)}
    return kinds.get(error["kind"], StoreError)(error["message"])

"""A real PostgreSQL server of its own, in a temporary folder, reachable through a Unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

_SUPERUSER: Final = "tuning"
# Tests need no durability against power cuts; a benchmark does.
_FAST: Final = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


def _binaries() -> Path:
    """The newest server's programs.

    Raises:
        RuntimeError: there is none; the sentence says what to install.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    raise RuntimeError("PostgreSQL's server is missing: install it with `apt-get install postgresql`")


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


class PostgresServer:
    """A server and its databases. Stopping and starting it again keeps both."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._binaries = _binaries()
        self._user = _unprivileged_user()
        self._options = f"-c listen_addresses='' -k {folder} -c max_connections=200" + ("" if durable else f" {_FAST}")
        self._names = count()
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "--pgdata", self._data, "--username", _SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = self._folder / "log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", self._data, "--log", log, "--options", self._options)

    def stop(self) -> None:
        """Stop it at once; sessions are cut."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate", "--pgdata", self._data)

    @property
    def pid(self) -> int:
        """Of the process whose children serve the sessions."""
        return int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={self._folder}"

    def create_database(self, *, template: str = "template0") -> str:
        """A new database, a copy of the template that nobody is connected to. Returns its name."""
        name = f"database_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run one statement as the superuser."""
        self._run("psql", "--host", self._folder, "--username", _SUPERUSER, "--quiet", "--command", statement, database)

    def _run(self, program: str, *arguments: str | Path) -> None:
        user = self._user
        errors = self._folder / "errors"
        # The server inherits what `pg_ctl` has: a pipe would stay open as long as it runs, a file does not mind.
        with errors.open("w") as stderr:
            result = subprocess.run(
                [self._binaries / program, *arguments],
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                cwd=self._folder,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                check=False,
            )
        if result.returncode:
            raise RuntimeError(f"{program} failed: {errors.read_text().strip()}")


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A started server, stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tuning-pg-"))  # short: a socket's path has at most 107 bytes
    try:
        server = PostgresServer(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)

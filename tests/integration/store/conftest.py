"""Both databases, prepared once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.postgres import PostgresServer

from tuning_operator.store import Database, prepare


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with empty tables."""
    path = tmp_path_factory.mktemp("prepared") / "study.db"
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def prepared_postgres(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with empty tables."""
    name = postgres.create_database()
    prepare(postgres.url(name))
    return name


@pytest.fixture
def sqlite_url(prepared_sqlite: Path, tmp_path: Path) -> str:
    """A SQLite database with empty tables."""
    path = tmp_path / "study.db"
    shutil.copy(prepared_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(prepared_postgres: str, postgres: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database with empty tables."""
    name = postgres.create_database(template=prepared_postgres)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Each of the two databases, with empty tables."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Each of the two databases, opened."""
    database = Database.connect(url)
    yield database
    database.close()

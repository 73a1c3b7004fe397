"""Fixtures for every suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, shared by the session. It fails, and says what to install, where there is none."""
    with running_postgres() as server:
        yield server

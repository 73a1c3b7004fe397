"""One API server for all tests of this folder, a namespace for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.kubernetes import ApiServer, running_api_server


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """A real API server that serves TuningStudy; it fails, and says what to install, where it cannot run."""
    with running_api_server() as server:
        yield server


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """An empty namespace."""
    return api_server.create_namespace()

"""One API server for all tests that need one, a namespace for each of them, and a node that runs nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.kubernetes.simulated_kubelet import SimulatedKubelet
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


@pytest.fixture(scope="session")
def kubelet(api_server: ApiServer) -> SimulatedKubelet:
    """The only node's."""
    node = SimulatedKubelet(api_server)
    node.register()
    return node

"""Namespaces of teams, and operators that look after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.kubernetes.simulated_kubelet import SimulatedKubelet
from tests.integration.operator.operator_process import DEPLOYED, Account, OperatorProcess, running_operator
from tests.integration.operator.team import Team
from tests.support.kubernetes import ApiServer
from tests.support.namespaces import Namespace

StartOperator = Callable[..., OperatorProcess]


@pytest.fixture
def team(api_server: ApiServer, kubelet: SimulatedKubelet, namespace: str) -> Team:
    """One whose studies may start Pods."""
    space = Namespace(api_server, namespace)
    space.wait_ready()
    return Team(space, kubelet)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A database that is not there yet."""
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def start_operator(api_server: ApiServer, team: Team, tmp_path: Path, sqlite_url: str) -> Iterator[StartOperator]:
    """Starts an operator for the team alone, with options; it is stopped at the end."""
    with ExitStack() as stack:

        def start(*options: str, url: str = sqlite_url, account: Account = DEPLOYED) -> OperatorProcess:
            running = running_operator(api_server, tmp_path, url, *options, account=account, namespace=team.space.name)
            return stack.enter_context(running)

        yield start

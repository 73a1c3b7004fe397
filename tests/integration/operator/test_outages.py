"""What the operator needs goes away for a while, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

import pytest
from tests.cluster.waiting import until
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.operator_process import OperatorProcess
from tests.integration.operator.team import PATIENCE, Team, attempt_of, result, study
from tests.support.kubernetes import ApiServer
from tests.support.postgres import PostgresServer, running_postgres


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """One that the test may stop."""
    with running_postgres() as server:
        yield server


def probes(operator: OperatorProcess) -> tuple[int | None, int | None]:
    return operator.probe("healthz"), operator.probe("readyz")


def test_a_database_that_is_away_for_a_while_loses_and_doubles_nothing(
    team: Team, start_operator: StartOperator, database: PostgresServer
) -> None:
    operator = start_operator(url=database.url(database.create_database()))
    team.apply(study(budget={"maxTrials": 4, "parallelism": 2}))
    first, second = team.run((0, 0), (1, 0))
    team.wait_counts(running=2)
    database.stop()
    # A restart would mend nothing, and results cannot be taken.
    without = (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
    until(lambda: probes(operator) == without, seconds=PATIENCE, what="the operator says that it is not ready")
    team.end(first, message=result(0.25))
    team.end(second, 1)
    database.start()
    until(lambda: probes(operator) == (HTTPStatus.OK, HTTPStatus.OK), seconds=PATIENCE, what="the operator is ready again")
    status = team.work_until_finished()
    assert status["trials"].items() >= {"progress": "4/4", "succeeded": 4, "failed": 0, "disrupted": 0}.items()
    assert sorted(map(attempt_of, team.jobs())) == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]


def test_an_api_server_that_is_killed_and_comes_back_is_watched_on(
    api_server: ApiServer, team: Team, start_operator: StartOperator
) -> None:
    operator = start_operator()
    team.apply(study(budget={"maxTrials": 3, "parallelism": 2}))
    team.run((0, 0), (1, 0))
    team.wait_counts(running=2)
    api_server.plane.programs.kill("kube-apiserver")
    assert operator.probe("healthz") == HTTPStatus.OK
    api_server.plane.programs.start_again("kube-apiserver")
    api_server.wait_ready()
    status = team.work_until_finished()
    assert status["trials"].items() >= {"progress": "3/3", "succeeded": 3, "failed": 0, "disrupted": 0}.items()
    assert sorted(map(attempt_of, team.jobs())) == [(0, 0), (1, 0), (2, 0)]

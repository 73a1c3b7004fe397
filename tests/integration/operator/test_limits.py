"""Limits of running trials: of the operator, and of a namespace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.waiting import until
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.team import OURS, PATIENCE, Team, study
from tests.support.watching import Recording, recording

STUDIES = ("first", "second")


@pytest.fixture
def pods(team: Team) -> Iterator[Recording]:
    """Every change of the trials' Pods."""
    with recording(team.space.server, f"/api/v1/namespaces/{team.space.name}/pods", selector=OURS) as recorded:
        yield recorded


def apply_two(team: Team) -> None:
    for name in STUDIES:
        team.apply(study(name, budget={"maxTrials": 6, "parallelism": 4}))


def assert_both_got_on(pods: Recording) -> None:
    """Neither had all of its trials before the other had one."""
    begun = [pod["metadata"]["labels"]["tuningstudy.dev/study"] for pod in pods.objects("ADDED")]
    assert sorted(begun) == ["first"] * 6 + ["second"] * 6
    first, second = ([place for place, owner in enumerate(begun) if owner == name] for name in STUDIES)
    assert min(first) < max(second)
    assert min(second) < max(first)


def work_until_both_finished(team: Team) -> None:
    def finished() -> bool:
        return all(team.condition("Finished", name)[0] == "True" for name in STUDIES)

    team.work(finished, what="both are finished")
    assert [team.status(name)["trials"]["progress"] for name in STUDIES] == ["6/6", "6/6"]


@pytest.mark.parametrize("limit", ["--max-running-trials=3", "--max-running-trials-per-namespace=3"])
def test_two_studies_never_run_more_trials_than_the_limit_and_both_get_on(
    team: Team, start_operator: StartOperator, pods: Recording, limit: str
) -> None:
    start_operator(limit)
    apply_two(team)
    work_until_both_finished(team)
    assert pods.most_at_once() == 3
    assert_both_got_on(pods)


def test_the_limit_holds_when_the_operator_starts_again(team: Team, start_operator: StartOperator, pods: Recording) -> None:
    operator = start_operator("--max-running-trials=3")
    apply_two(team)
    until(lambda: len(team.pods_left()) == 3, seconds=PATIENCE, what="all places are taken")
    operator.kill()
    operator.start_again()
    work_until_both_finished(team)
    assert pods.most_at_once() == 3
    assert_both_got_on(pods)

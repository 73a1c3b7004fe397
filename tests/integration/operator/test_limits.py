"""Limits of running trials: of the operator, of a namespace, of the time for which a finished study stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.waiting import until
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.team import OURS, PATIENCE, Document, Team, study
from tests.support.kubernetes import AbsentError
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


def kept_for_people(job: Document) -> bool:
    """Whether nothing but people's interest keeps a Job, and the cluster removes it in time."""
    return "tuningstudy.dev/released" in job["metadata"]["labels"] and job["spec"].get("ttlSecondsAfterFinished") == 3600


def test_the_jobs_of_a_finished_study_stay_for_an_hour(team: Team, start_operator: StartOperator) -> None:
    start_operator()
    team.apply(study())
    team.work_until_finished()
    until(lambda: all(kept_for_people(job) for job in team.jobs()), seconds=PATIENCE, what="the Jobs are released")
    assert len(team.jobs()) == 2


def test_no_job_is_given_a_time_to_live_before_its_end_is_in_the_database(team: Team, start_operator: StartOperator) -> None:
    operator = start_operator()
    team.apply(study())
    first, second = team.run((0, 0), (1, 0))
    operator.kill()
    team.end(first)
    team.end(second)
    until(lambda: all(job["status"].get("succeeded") == 1 for job in team.jobs()), seconds=PATIENCE, what="the Jobs are complete")
    assert not any("ttlSecondsAfterFinished" in job["spec"] for job in team.jobs())


def test_a_finished_study_is_deleted_after_its_time_to_live(team: Team, start_operator: StartOperator) -> None:
    start_operator()
    team.apply(study(ttlSecondsAfterFinished=1))
    team.work(lambda: is_gone(team), what="the study is gone")
    team.obey_until_nothing_is_left()


def is_gone(team: Team) -> bool:
    try:
        team.study()
    except AbsentError:
        return True
    return False

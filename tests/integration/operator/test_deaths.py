"""The operator is killed, or away, and nothing is lost or done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from optuna.trial import TrialState
from tests.cluster.waiting import until
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.team import OURS, PATIENCE, Document, Team, attempt_of, result, stored_trials, study
from tests.support.watching import Recording, recording


@pytest.fixture
def jobs(team: Team) -> Iterator[Recording]:
    """Every change of the team's Jobs."""
    with recording(team.space.server, f"/apis/batch/v1/namespaces/{team.space.name}/jobs", selector=OURS) as recorded:
        yield recorded


EXACTLY: Final = {"progress": "3/3", "succeeded": 3, "failed": 0, "stopped": 0, "disrupted": 0}


def assert_each_trial_ran_once(team: Team, status: Document, jobs: Recording, url: str) -> None:
    assert status["trials"].items() >= EXACTLY.items()
    made = [(job["metadata"]["name"], attempt_of(job)) for job in jobs.objects("ADDED")]
    assert sorted(attempt for _, attempt in made) == [(0, 0), (1, 0), (2, 0)]
    assert len({name for name, _ in made}) == 3
    assert [trial.value for trial in stored_trials(url, name_of(team))] == [0.0, 1.0, 2.0]


def name_of(team: Team) -> str:
    return f"{team.space.name}/digits/{team.study()['metadata']['uid'][:8]}"


def three(**changes: Any) -> Document:
    return study(budget={"maxTrials": 3, "parallelism": 2}, **changes)


def test_a_claimed_trial_without_a_job_is_started_after_the_death(
    team: Team, start_operator: StartOperator, sqlite_url: str, jobs: Recording
) -> None:
    # The quota stands between the claim and the Job.
    team.space.limit(count__jobs_batch="0")
    operator = start_operator()
    team.apply(three(suspend=True))
    team.wait_condition("Suspended", "True", "SuspendedByUser")
    team.patch({"suspend": False})
    team.wait_condition("Reconciling", "True", "QuotaExceeded")
    operator.kill()
    team.space.kubectl("delete", "resourcequota", "quota")
    operator.start_again()
    assert_each_trial_ran_once(team, team.work_until_finished(), jobs, sqlite_url)


def test_a_job_that_the_status_does_not_know_yet_is_found_after_the_death(
    team: Team, start_operator: StartOperator, sqlite_url: str, jobs: Recording
) -> None:
    operator = start_operator()
    team.apply(three())
    until(lambda: bool(jobs.events), seconds=PATIENCE, what="a Job is made")
    operator.kill()
    operator.start_again()
    assert_each_trial_ran_once(team, team.work_until_finished(), jobs, sqlite_url)


def test_trials_run_on_while_the_operator_is_dead(
    team: Team, start_operator: StartOperator, sqlite_url: str, jobs: Recording
) -> None:
    operator = start_operator()
    team.apply(three())
    first, second = team.run((0, 0), (1, 0))
    team.wait_counts(running=2)
    operator.kill()
    # Their results are posted nowhere: the termination message has them.
    team.end(first, message=result(0.0))
    team.end(second, message=result(1.0))
    operator.start_again()
    assert_each_trial_ran_once(team, team.work_until_finished(), jobs, sqlite_url)


def test_no_job_is_given_a_time_to_live_before_its_end_is_in_the_database(team: Team, start_operator: StartOperator) -> None:
    operator = start_operator()
    team.apply(study())
    first, second = team.run((0, 0), (1, 0))
    operator.kill()
    team.end(first)
    team.end(second)
    until(lambda: all(job["status"].get("succeeded") == 1 for job in team.jobs()), seconds=PATIENCE, what="the Jobs are complete")
    assert not any("ttlSecondsAfterFinished" in job["spec"] for job in team.jobs())


def test_a_last_end_that_nobody_has_written_down_finishes_the_study_after_the_death(
    team: Team, start_operator: StartOperator, sqlite_url: str, jobs: Recording
) -> None:
    operator = start_operator()
    team.apply(three())
    team.run((0, 0), (1, 0))
    team.work(lambda: team.pods().keys() == {(2, 0)}, what="the last one is left")
    operator.kill()
    team.work(lambda: not team.pods(), what="it ends")
    operator.start_again()
    team.wait_condition("Finished", "True", "MaxTrialsReached")
    assert_each_trial_ran_once(team, team.status(), jobs, sqlite_url)


def test_a_pod_that_is_deleted_while_the_operator_is_dead_is_a_disruption_of_its_trial(
    team: Team, start_operator: StartOperator
) -> None:
    operator = start_operator()
    team.apply(study(budget__maxTrials=1))
    (pod,) = team.run((0, 0))
    team.wait_counts(running=1)
    operator.kill()
    team.space.kubectl("delete", "pod", pod, "--wait=false")
    team.obey(lambda: not team.pods_left(), what="the Pod is gone")
    operator.start_again()
    team.wait_pods((0, 1))
    status = team.work_until_finished()
    assert (status["trials"]["succeeded"], status["trials"]["failed"], status["trials"]["disrupted"]) == (1, 0, 1)


def test_a_study_that_is_deleted_while_the_operator_is_dead_is_ended_in_the_database(
    team: Team, start_operator: StartOperator, sqlite_url: str
) -> None:
    operator = start_operator()
    team.apply(study())
    team.run((0, 0), (1, 0))
    team.wait_counts(running=2)
    name = name_of(team)
    operator.kill()
    team.delete()
    team.obey_until_nothing_is_left()
    assert [trial.state for trial in stored_trials(sqlite_url, name)] == [TrialState.RUNNING] * 2
    operator.start_again()
    ended = [TrialState.FAIL] * 2
    until(
        lambda: [trial.state for trial in stored_trials(sqlite_url, name)] == ended,
        seconds=PATIENCE,
        what="every trial is told",
    )


def test_an_edit_and_a_suspension_while_the_operator_is_dead_are_obeyed_when_it_is_back(
    team: Team, start_operator: StartOperator
) -> None:
    operator = start_operator()
    team.apply(study())
    team.run((0, 0), (1, 0))
    team.wait_counts(running=2)
    operator.kill()
    team.patch({"suspend": True, "budget": {"maxTrials": 3}})
    operator.start_again()
    team.obey(lambda: team.status()["trials"]["running"] == 0, what="nothing runs")
    assert team.condition("Suspended")[0] == "True"
    team.patch({"suspend": False})
    status = team.work_until_finished()
    assert (status["trials"]["progress"], status["trials"]["disrupted"]) == ("3/3", 0)


def test_an_operator_that_is_asked_to_end_leaves_without_a_word_of_trouble(
    team: Team, start_operator: StartOperator, tmp_path: Path
) -> None:
    operator = start_operator("--log-format=json")
    team.apply(study())
    team.run((0, 0), (1, 0))
    team.wait_counts(running=2)
    assert operator.ask_to_end() == 0
    said = [json.loads(line) for line in (tmp_path / "operator.log").read_text().splitlines()]
    assert {line["level"] for line in said} == {"INFO"}
    assert "stopping" in said[-1]["message"]
    operator.start_again()
    assert team.work_until_finished()["trials"]["disrupted"] == 0

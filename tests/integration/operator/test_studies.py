"""Studies from apply to their end, looked after by an operator with the rights and the database of a platform team."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from optuna.trial import TrialState
from tests.cluster.waiting import until
from tests.integration.operator.operator_process import OperatorProcess, running_operator
from tests.integration.operator.team import NAME, PATIENCE, Document, Team, attempt_of, result, stored_trials, study
from tests.support.kubernetes import AbsentError, ApiServer
from tests.support.postgres import PostgresServer

CONDITIONS: Final = ["Failed", "Finished", "Reconciling", "Stalled", "Succeeded", "Suspended"]


@pytest.fixture(scope="module")
def database_url(postgres: PostgresServer) -> str:
    return postgres.url(postgres.create_database())


@pytest.fixture(scope="module", autouse=True)
def operator(api_server: ApiServer, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """Looks after all namespaces. What other tests left there is not its business."""
    api_server.kubectl("delete", "tuningstudies", "--all", "--all-namespaces")
    with running_operator(api_server, tmp_path_factory.mktemp("operator"), database_url) as running:
        yield running


def name_of(found: Document) -> str:
    """The study's name in the database."""
    metadata = found["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}/{metadata['uid'][:8]}"


def states(url: str, found: Document) -> list[TrialState]:
    """Of a study's trials by number, as stock Optuna reads them."""
    return [trial.state for trial in stored_trials(url, name_of(found))]


# The way to the end


def test_a_study_goes_from_apply_to_succeeded(team: Team, database_url: str) -> None:
    team.apply(study(baseline__repeats=2, budget__maxTrials=3))
    # Trials 0 and 1 are the baseline, whose mean is 0.5.
    team.work_until_finished()
    wait = team.space.kubectl("wait", f"tuningstudy/{NAME}", "--for=condition=Finished", "--timeout=10s")
    assert "condition met" in wait
    found = team.study()
    status = found["status"]
    assert status["phase"] == "Succeeded"
    assert status["trials"] == {
        "progress": "3/3",
        "pending": 0,
        "running": 0,
        "succeeded": 3,
        "pruned": 0,
        "failed": 0,
        "stopped": 0,
        "disrupted": 0,
    }
    assert status["observedGeneration"] == found["metadata"]["generation"] == 1
    assert (status["baseline"]["value"], status["baseline"]["repeats"]) == (0.5, 2)
    assert (status["best"]["trial"], status["best"]["value"], status["improvement"]["absolute"]) == (4, 4.0, 3.5)
    said = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert sorted(said) == CONDITIONS
    assert said["Succeeded"] == said["Finished"] == ("True", "MaxTrialsReached")
    assert {kind for kind, (is_so, _) in said.items() if is_so == "True"} == {"Succeeded", "Finished"}
    assert all(each["observedGeneration"] == 1 for each in status["conditions"])
    team.wait_events("Accepted", "BaselineKnown", "Succeeded")
    assert [trial.value for trial in stored_trials(database_url, name_of(found))] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert sorted(attempt_of(job) for job in team.jobs()) == [(number, 0) for number in range(5)]


def test_the_columns_of_kubectl_show_how_far_it_is(team: Team) -> None:
    team.apply(study(baseline__repeats=1, budget__maxTrials=1))
    team.work_until_finished()
    header, row = team.space.kubectl("get", "tuningstudies").splitlines()
    assert header.split() == ["NAME", "PHASE", "TRIALS", "BEST", "GAIN", "AGE"]
    assert row.split()[:5] == [NAME, "Succeeded", "1/1", "1", "1"]


def test_the_operator_writes_nothing_but_the_status_of_a_study(team: Team) -> None:
    team.apply(study())
    before = team.study()
    team.work_until_finished()
    found = team.study()
    assert found["spec"] == before["spec"]
    assert "finalizers" not in found["metadata"]
    kept = ("annotations", "labels", "generation", "uid")
    assert {key: found["metadata"].get(key) for key in kept} == {key: before["metadata"].get(key) for key in kept}
    managed = team.space.kubectl("get", "tuningstudy", NAME, "--output=json", "--show-managed-fields")
    writers = {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): set(entry["fieldsV1"])
        for entry in json.loads(managed)["metadata"]["managedFields"]
        if entry["manager"] != "kubectl-client-side-apply"
    }
    assert writers == {("tuning-operator", "Apply", "status"): {"f:status"}}


def test_trials_that_fail_are_repeated_and_counted_once(team: Team) -> None:
    team.apply(study(budget__parallelism=1))
    (pod,) = team.run((0, 0))
    team.end(pod, 1, "boom")
    (pod,) = team.run((0, 1))
    team.end(pod, 1, "boom again")
    team.wait_counts(failed=1, progress="1/2")
    status = team.work_until_finished()
    assert (status["phase"], status["trials"]["failed"], status["trials"]["succeeded"]) == ("Succeeded", 1, 1)


def test_a_study_none_of_whose_trials_succeed_has_failed(team: Team) -> None:
    team.apply(study(budget__maxTrials=1, retry__failures=0))
    (pod,) = team.run((0, 0))
    team.end(pod, 1, "out of luck")
    assert "out of luck" in team.wait_condition("Failed", "True", "NoTrialSucceeded")
    assert team.condition("Stalled")[:2] == ("True", "StudyFailed")
    assert team.status()["phase"] == "Failed"
    team.wait_events("Accepted", "Failed")


# Suspend and resume


def test_a_suspended_study_runs_nothing_and_goes_on_with_the_same_trials(team: Team, database_url: str) -> None:
    team.apply(study())
    team.run((0, 0), (1, 0))
    team.wait_counts(running=2)
    parameters = [trial.params for trial in stored_trials(database_url, name_of(team.study()))]
    team.patch({"suspend": True})
    team.obey(lambda: team.status()["trials"]["running"] == 0, what="nothing runs")
    assert team.pods() == {}
    assert (team.status()["phase"], team.condition("Reconciling")[0]) == ("Suspended", "False")
    team.patch({"suspend": False})
    team.wait_pods((0, 1), (1, 1))
    status = team.work_until_finished()
    assert (status["trials"]["succeeded"], status["trials"]["failed"], status["trials"]["disrupted"]) == (2, 0, 0)
    assert [trial.params for trial in stored_trials(database_url, name_of(team.study()))] == parameters
    team.wait_events("Accepted", "Suspended", "Resumed", "Succeeded")


def test_a_study_that_begins_suspended_starts_when_it_is_resumed(team: Team) -> None:
    team.apply(study(suspend=True))
    team.wait_condition("Suspended", "True", "SuspendedByUser")
    assert team.jobs() == []
    team.patch({"suspend": False})
    assert team.work_until_finished()["trials"]["succeeded"] == 2


# Edits


def test_more_trials_and_more_at_once_take_effect_while_the_study_runs(team: Team) -> None:
    team.apply(study(budget={"maxTrials": 2, "parallelism": 1}))
    team.run((0, 0))
    team.patch({"budget": {"maxTrials": 5, "parallelism": 3}})
    team.wait_pods((0, 0), (1, 0), (2, 0))
    status = team.work_until_finished()
    assert (status["trials"]["progress"], status["observedGeneration"]) == ("5/5", 2)


def test_a_change_that_comes_too_late_stalls_the_study_until_it_is_put_back(team: Team) -> None:
    team.apply(study(budget={"maxTrials": 3, "parallelism": 1}))
    (pod,) = team.run((0, 0))
    team.end(pod, message=result(0.5))
    (second,) = team.run((1, 0))
    team.wait_counts(succeeded=1, running=1)
    team.patch({"search": {"seed": 9}})
    said = team.wait_condition("Stalled", "True", "SpecChanged")
    assert said == "spec.search.seed: changed from 0 to 9 after the first result; put it back, or make a new study"
    # What runs is not lost; nothing new begins.
    team.end(second, message=result(0.75))
    team.wait_counts(succeeded=2, running=0)
    assert team.pods() == {}
    team.patch({"search": {"seed": 0}})
    team.wait_condition("Stalled", "False", "NotStalled")
    status = team.work_until_finished()
    assert (status["trials"]["progress"], status["observedGeneration"]) == ("3/3", 3)
    team.wait_events("Accepted", "Stalled", "Mended", "Succeeded")


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        pytest.param({"trial": {"timeout": "0s"}}, {"trial": {"timeout": "1h"}}, "spec.trial.timeout", id="no time at all"),
        pytest.param(
            {"search": {"sampler": "grid", "gridPoints": 9}},
            {"search": {"sampler": "random"}},
            "spec.search.sampler: grid has ",
            id="a grid larger than the budget",
        ),
        pytest.param(
            {"parameters": [{"name": "rate", "float": {"min": 0, "max": 1}, "when": [{"parameter": "kind", "values": ["a"]}]}]},
            {"parameters": [{"name": "rate", "float": {"min": 0, "max": 1}}]},
            "stands after 'rate'; move it before",
            id="a condition on a later parameter",
        ),
    ],
)
def test_what_the_api_server_cannot_refuse_stalls_the_study_before_anything_starts(
    team: Team, wrong: Document, right: Document, said: str
) -> None:
    kind = {"name": "kind", "categorical": {"choices": ["a", "b"]}}
    if "parameters" in wrong:
        wrong, right = ({"parameters": [*spec["parameters"], kind]} for spec in (wrong, right))
    document = study()
    document["spec"] = merged(document["spec"], wrong)
    team.apply(document)
    assert said in team.wait_condition("Stalled", "True", "InvalidSpec")
    assert team.jobs() == []
    assert sorted(each["type"] for each in team.status()["conditions"]) == CONDITIONS
    team.patch(right)
    status = team.work_until_finished()
    assert (status["trials"]["succeeded"], status["observedGeneration"]) == (2, 2)
    team.wait_events("Stalled", "Accepted", "Mended", "Succeeded")


def merged(spec: Document, changes: Document) -> Document:
    return spec | {key: spec.get(key, {}) | value if isinstance(value, dict) else value for key, value in changes.items()}


# Refusals of the cluster


@pytest.mark.parametrize("quota", [{"pods": "0"}, {"count__jobs_batch": "0"}], ids=["of Pods", "of Jobs"])
def test_a_used_up_quota_is_waited_for(team: Team, quota: dict[str, str]) -> None:
    team.space.limit(**quota)
    team.apply(study())
    said = team.wait_condition("Reconciling", "True", "QuotaExceeded")
    assert said.startswith("ResourceQuota/quota: ")
    assert team.condition("Stalled")[0] == "False"
    team.space.kubectl("delete", "resourcequota", "quota")
    status = team.work_until_finished()
    assert (status["trials"]["succeeded"], status["trials"]["failed"], status["trials"]["disrupted"]) == (2, 0, 0)
    assert "Stalled" not in team.events()


def missing_account(team: Team) -> Document:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "researcher"}}


def missing_priority(team: Team) -> Document:
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": team.space.name}, "value": 7}


@pytest.mark.parametrize(
    ("field", "missing", "reason"),
    [
        pytest.param("serviceAccountName", missing_account, "ServiceAccountMissing", id="a service account"),
        pytest.param("priorityClassName", missing_priority, "PriorityClassMissing", id="a priority class"),
    ],
)
def test_what_is_missing_stalls_the_study_until_somebody_makes_it(
    team: Team, field: str, missing: Callable[[Team], Document], reason: str
) -> None:
    wanted = missing(team)
    name = wanted["metadata"]["name"]
    team.apply(study(**{f"trial__template__spec__{field}": name}))
    said = team.wait_condition("Stalled", "True", reason)
    assert said.startswith(f"{wanted['kind']}/{name}: ")
    assert team.pods() == {}
    team.space.create(wanted)
    status = team.work_until_finished()
    assert (status["trials"]["succeeded"], status["trials"]["failed"], status["trials"]["disrupted"]) == (2, 0, 0)
    team.wait_events("Accepted", "Stalled", "Mended", "Succeeded")


def test_a_template_that_the_namespace_forbids_stalls_the_study_until_it_is_edited(team: Team) -> None:
    team.space.enforce_restricted()
    team.apply(study(trial__template__spec__securityContext={"runAsUser": 0, "runAsNonRoot": False}))
    said = team.wait_condition("Stalled", "True", "PodSecurityViolated")
    assert said.startswith("PodSecurity/restricted:latest: ")
    team.patch({"trial": {"template": {"spec": {"securityContext": {"runAsUser": 1000, "runAsNonRoot": True}}}}})
    status = team.work_until_finished()
    assert (status["trials"]["succeeded"], status["trials"]["failed"], status["trials"]["disrupted"]) == (2, 0, 0)
    team.wait_events("Accepted", "Stalled", "Mended", "Succeeded")


def test_a_trial_whose_image_does_not_pull_starts_anew_with_another_image(team: Team) -> None:
    team.apply(study(budget__maxTrials=1))
    (pod,) = team.wait_pods((0, 0))
    team.kubelet.fail_to_pull(team.space.name, pod, "tuning-trainer")
    said = team.wait_condition("Stalled", "True", "ImageNotPulled")
    assert said.startswith("Image/tuning-trainer: ")
    team.patch({"trial": {"template": {"spec": {"containers": [{"name": "trainer", "image": "tuning-trainer:2"}]}}}})
    team.obey(lambda: team.pods().keys() == {(0, 1)}, what="the trial has another attempt")
    (job,) = [job for job in team.jobs() if attempt_of(job) == (0, 1)]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "tuning-trainer:2"
    status = team.work_until_finished()
    assert (status["trials"]["progress"], status["trials"]["failed"], status["trials"]["disrupted"]) == ("1/1", 0, 0)


# What is left of a finished study


def kept_for_people(job: Document) -> bool:
    """Whether nothing but people's interest keeps a Job, and the cluster removes it in time."""
    return "tuningstudy.dev/released" in job["metadata"]["labels"] and job["spec"].get("ttlSecondsAfterFinished") == 3600


def test_the_jobs_of_a_finished_study_stay_for_an_hour(team: Team) -> None:
    team.apply(study())
    team.work_until_finished()
    until(lambda: all(kept_for_people(job) for job in team.jobs()), seconds=PATIENCE, what="the Jobs are released")
    assert len(team.jobs()) == 2


def test_a_finished_study_is_deleted_after_its_time_to_live(team: Team) -> None:
    team.apply(study(ttlSecondsAfterFinished=1))
    team.work(lambda: is_gone(team), what="the study is gone")
    team.obey_until_nothing_is_left()


def is_gone(team: Team) -> bool:
    try:
        team.study()
    except AbsentError:
        return True
    return False


# Deletion


def test_a_deleted_study_leaves_no_job_and_no_open_trial(team: Team, database_url: str) -> None:
    team.apply(study(budget={"maxTrials": 5, "parallelism": 2}))
    first, _ = team.run((0, 0), (1, 0))
    team.end(first, message=result(0.5))
    team.wait_counts(succeeded=1)
    team.wait_pods((1, 0), (2, 0))
    found = team.study()
    team.delete()
    team.obey_until_nothing_is_left()
    ended = [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]
    until(lambda: states(database_url, found) == ended, seconds=PATIENCE, what="every trial is told")


def test_a_study_that_is_made_again_begins_anew_and_its_history_is_kept(team: Team, database_url: str) -> None:
    team.apply(study())
    team.work_until_finished()
    first = team.study()
    team.delete()
    team.apply(study(budget__maxTrials=1))
    team.wait_pods((0, 0))
    assert team.work_until_finished(value=lambda _: 7.0)["trials"]["progress"] == "1/1"
    second = team.study()
    assert [trial.value for trial in stored_trials(database_url, name_of(second))] == [7.0]
    assert [trial.value for trial in stored_trials(database_url, name_of(first))] == [0.0, 1.0]


def test_a_study_that_is_made_again_while_trials_of_the_first_one_run_does_not_take_them(team: Team, database_url: str) -> None:
    team.apply(study())
    team.run((0, 0), (1, 0))
    first = team.study()
    team.space.kubectl("delete", "tuningstudy", NAME)
    team.apply(study())
    status: dict[str, Any] = team.work_until_finished()
    assert status["trials"]["succeeded"] == 2
    assert states(database_url, team.study()) == [TrialState.COMPLETE] * 2
    told = [TrialState.FAIL] * 2
    until(lambda: states(database_url, first) == told, seconds=PATIENCE, what="the first one's trials are told")

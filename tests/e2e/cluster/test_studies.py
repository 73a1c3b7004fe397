"""Studies from `kubectl apply` to their end: real Pods, real PostgreSQL, the overlay that platform teams apply."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from optuna.trial import TrialState
from tests.cluster.waiting import until
from tests.e2e.cluster.installation import OURS, PATIENCE, SYSTEM, Document, Installation, watching_pods
from tests.e2e.cluster.studies import WAITING_SCRIPT, reporting, scripted, study

from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE

SUCCEEDED = {
    "Succeeded": "True",
    "Failed": "False",
    "Finished": "True",
    "Suspended": "False",
    "Reconciling": "False",
    "Stalled": "False",
}


def trainer_study(name: str) -> Document:
    """The project's own trainer on real data, for one epoch."""
    document = study(name, [])
    (container,) = document["spec"]["trial"]["template"]["spec"]["containers"]
    del container["command"]
    container["args"] = ["--dataset=digits", "--model=mlp", "--layers=1", "--epochs=1"]
    document["spec"]["objectives"] = [{"metric": "val_accuracy", "direction": "maximize"}]
    document["spec"]["parameters"] = [
        {"name": "learning_rate", "float": {"min": 1e-4, "max": 1e-1, "scale": "log", "default": 1e-3}},
        {"name": "hidden_units", "int": {"min": 16, "max": 64, "default": 32}},
    ]
    return document


def values(operator: Installation, namespace: str, name: str) -> list[float | None]:
    """Of all trials, by number, as stock Optuna reads them."""
    return [trial.value for trial in operator.stock_trials(namespace, name)]


def test_three_studies_at_once_succeed_with_exact_counts(operator: Installation, namespace: str) -> None:
    documents = [scripted("script"), reporting("reporting"), trainer_study("trainer")]
    names = [document["metadata"]["name"] for document in documents]
    with watching_pods(operator.kubectl, namespace) as watch:
        for document in documents:
            operator.apply(namespace, document)
        for name in names:
            operator.wait(namespace, name, "Finished", seconds=900)
    for name in names:
        found = operator.study(namespace, name)
        status, uid = found["status"], found["metadata"]["uid"]
        assert {condition["type"]: condition["status"] for condition in status["conditions"]} == SUCCEEDED, name
        assert status["observedGeneration"] == found["metadata"]["generation"]
        assert (status["phase"], status["trials"]["progress"], status["trials"]["failed"]) == ("Succeeded", "12/12", 0)
        assert status["trials"]["succeeded"] + status["trials"].get("pruned", 0) == 12
        assert status["usage"]["gpuHours"] > 0
        assert watch.most_at_once(uid) <= 2, name
        attempts = watch.attempts(uid)
        assert sorted(attempts) == [(number, 0) for number in range(13)], name
        assert all(len(pods) == 1 for pods in attempts.values()), name
        stored = operator.stock_trials(namespace, name)
        assert [trial.number for trial in stored] == list(range(13))
        assert {trial.state for trial in stored} <= {TrialState.COMPLETE, TrialState.PRUNED}
        completed = [trial.value for trial in stored[1:] if trial.state is TrialState.COMPLETE and trial.value is not None]
        assert status["best"]["value"] == pytest.approx(max(completed))
        assert "finalizers" not in found["metadata"]
        reasons = events(operator, namespace, name)
        assert (reasons.count("Accepted"), reasons.count("BaselineKnown"), reasons.count("Succeeded")) == (1, 1, 1), reasons
    row = operator.kubectl("get", "tuningstudy", "script", f"--namespace={namespace}").splitlines()[1].split()
    assert row[:3] == ["script", "Succeeded", "12/12"]
    pruned = [t.number for t in operator.stock_trials(namespace, "reporting") if t.state is TrialState.PRUNED]
    assert {8, 11} <= set(pruned)


def events(operator: Installation, namespace: str, name: str) -> list[str]:
    """Reasons of the Events about a study."""
    selector = f"--field-selector=involvedObject.kind=TuningStudy,involvedObject.name={name}"
    found = operator.get("events", f"--namespace={namespace}", selector)
    return [event["reason"] for event in found["items"]]


def test_a_suspended_study_holds_no_gpu_and_resumes_the_same_trials(operator: Installation, namespace: str) -> None:
    operator.apply(
        namespace, scripted("digits", WAITING_SCRIPT, budget={"maxTrials": 2, "parallelism": 2}, baseline={"repeats": 0})
    )
    operator.wait_running(namespace, 2)
    with watching_pods(operator.kubectl, namespace) as watch:
        suspend(operator, namespace, value=True)
        operator.wait(namespace, "digits", "Suspended")
        until(lambda: not unfinished(operator, namespace), seconds=PATIENCE, what="no Pod of the suspended study is left")
        suspend(operator, namespace, value=False)
        for pod in operator.wait_running(namespace, 2):
            operator.let_go(namespace, pod)
        operator.wait(namespace, "digits", "Succeeded")
    found = operator.study(namespace, "digits")
    assert set(watch.attempts(found["metadata"]["uid"])) >= {(0, 1), (1, 1)}
    assert (found["status"]["trials"]["progress"], found["status"]["trials"]["failed"]) == ("2/2", 0)
    assert found["status"]["trials"]["disrupted"] == 0
    assert len(values(operator, namespace, "digits")) == 2
    reasons = events(operator, namespace, "digits")
    assert (reasons.count("Suspended"), reasons.count("Resumed")) == (1, 1)


def suspend(operator: Installation, namespace: str, *, value: bool) -> None:
    patch = json.dumps({"spec": {"suspend": value}})
    operator.kubectl("patch", "tuningstudy", "digits", f"--namespace={namespace}", "--type=merge", f"--patch={patch}")


def unfinished(operator: Installation, namespace: str) -> list[str]:
    """Pods of trials that may still hold something."""
    return [
        pod["metadata"]["name"] for pod in operator.pods(namespace) if pod["status"].get("phase") not in ("Succeeded", "Failed")
    ]


def test_a_deleted_study_leaves_no_job_and_a_new_one_of_its_name_starts_anew(operator: Installation, namespace: str) -> None:
    operator.apply(namespace, scripted("digits", WAITING_SCRIPT))
    operator.wait_running(namespace)
    old = operator.study(namespace, "digits")["metadata"]["uid"]
    operator.kubectl("delete", "tuningstudy", "digits", f"--namespace={namespace}")
    operator.apply(namespace, scripted("digits", budget={"maxTrials": 3, "parallelism": 1}))
    operator.wait(namespace, "digits", "Succeeded")
    new = operator.study(namespace, "digits")["metadata"]["uid"]

    def jobs_of_old() -> list[Document]:
        selector = f"--selector=tuningstudy.dev/study-uid={old}"
        return list(operator.get("jobs,pods", f"--namespace={namespace}", selector)["items"])

    until(lambda: not jobs_of_old(), seconds=PATIENCE, what="nothing of the deleted study is left")
    assert len(operator.stored_trials(f"{namespace}/digits/{new[:8]}")) == 4
    until(
        lambda: all(trial.state.is_finished() for trial in operator.stored_trials(f"{namespace}/digits/{old[:8]}")),
        seconds=PATIENCE,
        what="every trial of the deleted study is told",
    )


def test_results_arrive_though_the_gateway_cannot_be_reached(operator: Installation, namespace: str) -> None:
    script = """
import os
import tuning_client

with tuning_client.trial() as trial:
    trial.report(0, score=0.5)
    if trial.number == 2:
        raise tuning_client.Pruned
    trial.result(score=trial.param("x"), seed=float(trial.seed), gradient_norm=1e9)
"""
    document = study("digits", ["python", "-c", script], budget={"maxTrials": 3, "parallelism": 1}, baseline={"repeats": 0})
    with gateway_blocked():
        operator.apply(namespace, document)
        operator.wait(namespace, "digits", "Succeeded")
    trials = operator.stock_trials(namespace, "digits")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED]
    assert [trial.value for trial in trials[:2]] == [trial.params["x"] for trial in trials[:2]]
    assert not any(trial.intermediate_values for trial in trials), "no report got through"
    for trial in trials[:2]:
        assert trial.user_attrs["tuning:metric:seed"] == trial.user_attrs["tuning:seed"]
        assert trial.user_attrs["tuning:metric:gradient_norm"] == 1e9


@contextmanager
def gateway_blocked() -> Iterator[None]:
    """Drop everything that goes to the gateway's port, on this machine, which is the node."""
    rule = ["FORWARD", "--protocol", "tcp", "--dport", "8080", "--jump", "DROP"]
    subprocess.run(["iptables", "--wait", "--insert", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "--wait", "--delete", *rule], check=True)


def test_trials_that_end_while_the_operator_is_away_are_found(operator: Installation, namespace: str) -> None:
    budget = {"maxTrials": 4, "parallelism": 2}
    operator.apply(namespace, scripted("digits", WAITING_SCRIPT, budget=budget, baseline={"repeats": 0}))
    pods = operator.wait_running(namespace, 2)
    operator.scale_operator(0)
    for pod in pods:
        operator.let_go(namespace, pod)
    until(lambda: not unfinished(operator, namespace), seconds=PATIENCE, what="the trials have ended")
    operator.scale_operator(1)
    for pod in operator.wait_running(namespace, 2):
        operator.let_go(namespace, pod)
    operator.wait(namespace, "digits", "Succeeded")
    trials = operator.stock_trials(namespace, "digits")
    assert [trial.value for trial in trials] == [trial.params["x"] for trial in trials]
    assert len(trials) == 4


def test_an_operator_killed_again_and_again_runs_every_trial_once(operator: Installation, namespace: str) -> None:
    with watching_pods(operator.kubectl, namespace) as watch:
        operator.apply(namespace, scripted("digits"))
        uid = operator.study(namespace, "digits")["metadata"]["uid"]
        # As soon as a Job is there its creation is not yet recorded, or just so.
        for trial in (0, 4, 9):
            until(partial(has_pod, operator, namespace, trial), seconds=PATIENCE, what=f"trial {trial} has begun")
            operator.kill_operator()
        operator.wait(namespace, "digits", "Succeeded")
    attempts = watch.attempts(uid)
    assert sorted(attempts) == [(number, 0) for number in range(13)]
    assert all(len(pods) == 1 for pods in attempts.values())
    assert watch.most_at_once(uid) <= 2
    trials = operator.stock_trials(namespace, "digits")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 13
    assert [trial.value for trial in trials] == [trial.params["x"] for trial in trials]


def has_pod(operator: Installation, namespace: str, trial: int) -> bool:
    return any(pod["metadata"]["labels"]["tuningstudy.dev/trial"] == str(trial) for pod in operator.pods(namespace))


def test_an_evicted_trial_runs_again_under_its_number_and_is_no_failure(operator: Installation, namespace: str) -> None:
    budget = {"maxTrials": 1, "parallelism": 1}
    operator.apply(namespace, scripted("digits", WAITING_SCRIPT, budget=budget, baseline={"repeats": 0}))
    (pod,) = operator.wait_running(namespace)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    operator.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction))
    until(lambda: operator.running(namespace) not in ([], [pod]), seconds=PATIENCE, what="the trial runs again")
    (again,) = operator.running(namespace)
    operator.let_go(namespace, again)
    operator.wait(namespace, "digits", "Succeeded")
    status = operator.study(namespace, "digits")["status"]
    assert (status["trials"]["progress"], status["trials"]["failed"], status["trials"]["disrupted"]) == ("1/1", 0, 1)
    (trial,) = operator.stock_trials(namespace, "digits")
    assert (trial.number, trial.value) == (0, trial.params["x"])
    labels = operator.get("pod", again, f"--namespace={namespace}")["metadata"]["labels"]
    assert (labels["tuningstudy.dev/trial"], labels["tuningstudy.dev/attempt"]) == ("0", "1")


def test_a_mistake_in_the_template_stalls_the_study_and_is_mended_by_an_edit(operator: Installation, namespace: str) -> None:
    document = scripted("digits", budget={"maxTrials": 2, "parallelism": 2}, baseline={"repeats": 0})
    (container,) = document["spec"]["trial"]["template"]["spec"]["containers"]
    container["image"] = "tuning-trainer:of-tomorrow"
    operator.apply(namespace, document)
    operator.wait(namespace, "digits", "Stalled")
    assert operator.conditions(namespace, "digits")["Stalled"] == ("True", "ImageNotPulled")
    container["image"] = "tuning-trainer:0.1.0"
    operator.apply(namespace, document)
    operator.wait(namespace, "digits", "Succeeded")
    status = operator.study(namespace, "digits")["status"]
    assert (status["trials"]["progress"], status["trials"]["failed"], status["trials"]["disrupted"]) == ("2/2", 0, 0)


def test_trials_hold_no_credentials_for_the_api_and_none_for_the_database(operator: Installation, namespace: str) -> None:
    operator.apply(namespace, scripted("digits", WAITING_SCRIPT, budget={"maxTrials": 1}, baseline={"repeats": 0}))
    (pod,) = operator.wait_running(namespace)
    inside = operator.kubectl(
        "exec", pod, f"--namespace={namespace}", "--", "sh", "-c", "env; id -u; ls -d /var/run/secrets/*; ls /var/run/secrets/*"
    )
    assert "postgresql" not in inside
    assert "kubernetes.io" not in inside
    assert "/var/run/secrets/tuningstudy.dev" in inside
    labels = f"--selector={OURS}"
    (found,) = operator.get("pods", f"--namespace={namespace}", labels)["items"]
    assert found["spec"]["automountServiceAccountToken"] is False
    operator.let_go(namespace, pod)
    operator.wait(namespace, "digits", "Succeeded")


def test_the_operator_is_healthy_and_its_metrics_can_be_scraped(operator: Installation) -> None:
    pod = operator.operator_pod()
    proxy = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:8081/proxy"
    assert json.loads(operator.kubectl("get", f"--raw={proxy}/healthz"))["alive"] is True
    assert json.loads(operator.kubectl("get", f"--raw={proxy}/readyz"))["ready"] is True
    assert "tuning_operator_queue_depth" in operator.kubectl("get", f"--raw={proxy}/metrics")


def test_people_read_a_study_through_the_api_server_with_a_token_of_their_own(
    operator: Installation, namespace: str, tmp_path: Path
) -> None:
    operator.apply(namespace, scripted("digits", budget={"maxTrials": 2}))
    operator.wait(namespace, "digits", "Succeeded")
    operator.kubectl("create", "serviceaccount", "reader", f"--namespace={namespace}")
    token = operator.kubectl("create", "token", "reader", f"--namespace={namespace}", f"--audience={TOKEN_AUDIENCE}").strip()
    place = [f"--kubeconfig={operator.kubectl.kubeconfig}", f"--namespace={namespace}"]

    def tuning(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("tuning")), *arguments, *place]
        return subprocess.run(
            command, env=os.environ | {"TUNING_TOKEN": token}, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    refused = tuning("report", "digits", f"--output={tmp_path / 'refused'}")
    assert refused.returncode != 0, "it may not get the study yet"
    role = ["rolebinding", "reader", "--clusterrole=view", f"--serviceaccount={namespace}:reader"]
    operator.kubectl("create", *role, f"--namespace={namespace}")
    report = ("report", "digits", f"--output={tmp_path}")
    # A no is remembered for a few seconds, and watch shows what kubectl may see meanwhile.
    until(lambda: tuning(*report).returncode == 0, seconds=PATIENCE, what="the right is in force")
    assert "Succeeded: 2 search trials" in tuning("watch", "digits", "--once").stdout
    assert (tmp_path / "report.html").stat().st_size > 0
    best = operator.study(namespace, "digits")["status"]["best"]
    assert json.loads((tmp_path / "result.json").read_text())["best"]["trial"] == best["trial"]

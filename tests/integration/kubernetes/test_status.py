"""The status that the engine projects, in a real API server: accepted, unchanged, shown in columns."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import kstatus
from tests.support.kubernetes import ApiServer, RefusedError
from tests.support.simulated_studies import WORLDS, failed, just_created, running, succeeded
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec
from tests.unit.api.manifests import good

from tuning_operator.api.constants import API_VERSION, KIND
from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.status import StudyStatus
from tuning_operator.engine.facts import Outcome, SamplerChoice
from tuning_operator.engine.status import project

Document = dict[str, Any]
MANAGER = "tuning-operator"
CHOICE = SamplerChoice(sampler="gp", reason="numeric space, 4 trials, 2 at once")


def status_document(status: StudyStatus) -> Document:
    """What the operator sends."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "digits"},
        "status": json.loads(status.model_dump_json(exclude_none=True)),
    }


@pytest.fixture
def study(api_server: ApiServer, namespace: str) -> str:
    """A study named digits. Returns its namespace."""
    api_server.create_study(namespace, good())
    return namespace


def test_a_study_is_pending_and_in_progress_before_anybody_has_looked_at_it(api_server: ApiServer, study: str) -> None:
    raw = json.loads(api_server.kubectl("get", "tstudy", "digits", f"--namespace={study}", "--output=json"))
    assert (raw["status"]["phase"], raw["status"]["observedGeneration"]) == ("Pending", 0)
    assert kstatus.read(raw).status is kstatus.Status.IN_PROGRESS


def test_tools_read_the_same_from_the_object_as_it_is_served(api_server: ApiServer, study: str) -> None:
    world = failed()
    served = api_server.apply_status(study, status_document(project(world.facts, world.now)), manager=MANAGER)
    assert kstatus.read(served).status is kstatus.Status.FAILED


@pytest.mark.parametrize("world", WORLDS, ids=lambda make: make.__name__.replace("_", " "))
def test_a_status_comes_back_as_it_was_sent(api_server: ApiServer, study: str, world: Callable[[], SimulatedWorld]) -> None:
    made = world()
    sent = project(made.facts, made.now, choice=CHOICE)
    served = api_server.apply_status(study, status_document(sent), manager=MANAGER)["status"]
    assert served == status_document(sent)["status"]
    assert StudyStatus.model_validate_json(json.dumps(served)) == sent


def test_the_same_status_again_changes_nothing(api_server: ApiServer, study: str) -> None:
    document = status_document(project(running().facts, 1_013.0, choice=CHOICE))
    first = api_server.apply_status(study, document, manager=MANAGER)
    second = api_server.apply_status(study, document, manager=MANAGER)
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_what_a_status_says_no_more_is_gone(api_server: ApiServer, study: str) -> None:
    world = running()
    api_server.apply_status(study, status_document(project(world.facts, world.now, choice=CHOICE)), manager=MANAGER)
    fresh = project(just_created().facts, world.now)
    served = api_server.apply_status(study, status_document(fresh), manager=MANAGER)["status"]
    assert served == status_document(fresh)["status"]


def test_diagnoses_stand_in_the_order_of_the_newest_status(api_server: ApiServer, study: str) -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 3, "parallelism": 1}))
    unstable, overfitting = (
        Diagnosis(name="unstable", figure=math.inf),
        Diagnosis(name="overfitting", advice="x" * 300, figure=1.5),
    )
    for number, diagnoses in enumerate([(unstable,), (overfitting,), (overfitting,)]):
        world.settle()
        world.end(number, Outcome.SUCCEEDED, diagnoses=diagnoses)
        world.settle()
        sent = status_document(project(world.facts, world.now))
        served = api_server.apply_status(study, sent, manager=MANAGER)["status"]
        assert served == sent["status"]
    assert [found["name"] for found in served["diagnoses"]] == ["overfitting", "unstable"]


def test_a_status_of_an_older_look_at_the_study_is_refused(api_server: ApiServer, study: str) -> None:
    document = status_document(project(running().facts, 1_013.0))
    before = api_server.apply_status(study, document, manager=MANAGER)["metadata"]["resourceVersion"]
    document["status"]["phase"] = "Suspended"
    api_server.apply_status(study, document, manager=MANAGER)
    document["metadata"]["resourceVersion"] = before
    with pytest.raises(RefusedError, match="the object has been modified"):
        api_server.apply_status(study, document, manager=MANAGER)


def test_a_condition_of_somebody_else_stays_beside_ours(api_server: ApiServer, study: str) -> None:
    ours = status_document(project(running().facts, 1_013.0))
    others = {condition["type"]: condition for condition in ours["status"]["conditions"]}
    theirs = ours | {"status": {"conditions": [others["Suspended"]]}}
    api_server.apply_status(study, theirs, manager="somebody-else")
    ours["status"]["conditions"] = [condition for condition in ours["status"]["conditions"] if condition["type"] != "Suspended"]
    served = api_server.apply_status(study, ours, manager=MANAGER)["status"]["conditions"]
    assert {condition["type"] for condition in served} == set(others)


def test_a_condition_belongs_to_who_set_it_first(api_server: ApiServer, study: str) -> None:
    document = status_document(project(running().facts, 1_013.0))
    api_server.apply_status(study, document, manager=MANAGER)
    document["status"]["conditions"][0]["reason"] = "SomethingElse"
    with pytest.raises(RefusedError, match=r'conflict with "tuning-operator".*reason'):
        api_server.apply_status(study, document, manager="somebody-else", force=False)


def test_a_status_leaves_the_spec_and_its_generation_alone(api_server: ApiServer, study: str) -> None:
    document = status_document(project(running().facts, 1_013.0)) | {"spec": {"suspend": True}}
    served = api_server.apply_status(study, document, manager=MANAGER)
    assert served["spec"]["suspend"] is False
    assert served["metadata"]["generation"] == 1


def columns(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_columns_show_the_status(api_server: ApiServer, study: str) -> None:
    world = succeeded()
    api_server.apply_status(study, status_document(project(world.facts, world.now, choice=CHOICE)), manager=MANAGER)
    head, row = columns(api_server.kubectl("get", "tstudy", f"--namespace={study}"))
    assert head == ["NAME", "PHASE", "TRIALS", "BEST", "GAIN", "AGE"]
    assert row[:5] == ["digits", "Succeeded", "8/8", "0.9", "0.4"]


def test_wide_columns_show_the_sampler_and_how_trials_go(api_server: ApiServer, study: str) -> None:
    world = running()
    api_server.apply_status(study, status_document(project(world.facts, world.now, choice=CHOICE)), manager=MANAGER)
    head, row = columns(api_server.kubectl("get", "tstudy", f"--namespace={study}", "--output=wide"))
    assert head == ["NAME", "PHASE", "TRIALS", "BEST", "GAIN", "SAMPLER", "RUNNING", "FAILED", "AGE"]
    assert row[:4] == ["digits", "Running", "1/5", "0.3"]
    assert row[4:-1] == ["gp", "2", "0"]  # without a baseline there is no gain


def test_kubectl_waits_for_a_study_to_finish(api_server: ApiServer, study: str) -> None:
    world = failed()
    api_server.apply_status(study, status_document(project(world.facts, world.now)), manager=MANAGER)
    for condition in ("Finished", "Failed"):
        api_server.kubectl("wait", f"--for=condition={condition}", "--timeout=30s", f"--namespace={study}", "tstudy/digits")

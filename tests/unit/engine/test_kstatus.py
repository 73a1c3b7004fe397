"""What tools that roll out manifests make of every status that we write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import kstatus
from tests.support import simulated_studies as studies
from tests.support.disturbances import disturb, specs
from tests.support.kstatus import Status
from tests.support.simulated_world import SimulatedWorld

from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.facts import StudyCause
from tuning_operator.engine.status import project, project_refused

Document = dict[str, Any]


def served(status: StudyStatus, *, generation: int) -> Document:
    """An object with that status, as the API server gives it."""
    return {"metadata": {"generation": generation}, "status": json.loads(status.model_dump_json(exclude_none=True))}


def study(world: SimulatedWorld) -> Document:
    """The study as it is served once its status is written."""
    return served(project(world.facts, world.now), generation=world.facts.generation)


# The rules themselves, without us


def _object(*conditions: tuple[str, str], observed: int | None = 2, **metadata: Any) -> Document:
    status: Document = {"conditions": [{"type": kind, "status": value, "message": f"{kind}!"} for kind, value in conditions]}
    return {
        "metadata": {"generation": 2, **metadata},
        "status": status if observed is None else status | {"observedGeneration": observed},
    }


RULES: Final[Mapping[str, tuple[Document, Status, str]]] = {
    "an object without a status is current": ({"metadata": {"generation": 1}}, Status.CURRENT, "Resource is current"),
    "without conditions, too": (_object(), Status.CURRENT, "Resource is current"),
    "deletion comes before all": (
        _object(("Stalled", "True"), deletionTimestamp="now"),
        Status.TERMINATING,
        "Resource scheduled for deletion",
    ),
    "an edit that nobody has looked at is in progress": (
        _object(("Stalled", "True"), observed=1),
        Status.IN_PROGRESS,
        "generation is 2, but latest observed generation is 1",
    ),
    "a status without observedGeneration is believed": (_object(("Stalled", "True"), observed=None), Status.FAILED, "Stalled!"),
    "reconciling is in progress": (_object(("Stalled", "False"), ("Reconciling", "True")), Status.IN_PROGRESS, "Reconciling!"),
    "stalled is failed": (_object(("Reconciling", "False"), ("Stalled", "True")), Status.FAILED, "Stalled!"),
    "of both the first counts": (_object(("Stalled", "True"), ("Reconciling", "True")), Status.FAILED, "Stalled!"),
    "not ready is in progress": (_object(("Ready", "False")), Status.IN_PROGRESS, "Ready!"),
    "perhaps ready is in progress": (_object(("Ready", "Unknown")), Status.IN_PROGRESS, "Ready!"),
    "ready is current": (_object(("Ready", "True")), Status.CURRENT, "Resource is current"),
    "what it does not know says nothing": (
        _object(("Failed", "True"), ("Succeeded", "False")),
        Status.CURRENT,
        "Resource is current",
    ),
}


@pytest.mark.parametrize(("raw", "status", "message"), RULES.values(), ids=RULES.keys())
def test_for_kstatus(raw: Document, status: Status, message: str) -> None:
    assert kstatus.read(raw) == kstatus.Reading(status, message)


# What it says of studies


@dataclass(frozen=True)
class Expected:
    world: Callable[[], SimulatedWorld]
    status: Status
    says: str


EXPECTED: Final = (
    Expected(studies.just_created, Status.IN_PROGRESS, ""),
    Expected(studies.running, Status.IN_PROGRESS, ""),
    Expected(studies.queued, Status.IN_PROGRESS, "3 Insufficient nvidia.com/gpu"),
    Expected(studies.stopping, Status.IN_PROGRESS, ""),
    Expected(studies.suspended, Status.CURRENT, ""),
    Expected(studies.obstructed, Status.FAILED, 'Secret/registry: secret "registry" not found'),
    Expected(studies.stalled, Status.FAILED, "trial 1: "),
    Expected(studies.succeeded, Status.CURRENT, ""),
    Expected(studies.failed, Status.FAILED, "failed trials: 1, spec.budget.maxFailedTrials allows 0"),
)


@pytest.mark.parametrize("expected", EXPECTED, ids=[expected.world.__name__.replace("_", " ") for expected in EXPECTED])
def test_of_a_study_that_is(expected: Expected) -> None:
    reading = kstatus.read(study(expected.world()))
    assert reading.status is expected.status
    assert expected.says in reading.message


def test_every_study_of_the_support_is_judged() -> None:
    assert {expected.world for expected in EXPECTED} == set(studies.WORLDS)


def test_a_study_whose_spec_cannot_be_taken_has_failed_until_it_is_edited() -> None:
    cause = StudyCause(reason="SpecInvalid", message="spec.budget.maxTrials: 0 is below 1")
    status = project_refused(cause, 1_000.0, generation=1)
    assert kstatus.read(served(status, generation=1)) == kstatus.Reading(Status.FAILED, cause.message)
    assert kstatus.read(served(status, generation=2)).status is Status.IN_PROGRESS


@pytest.mark.parametrize("world", studies.WORLDS, ids=lambda world: world.__name__.replace("_", " "))
def test_an_edit_is_in_progress_until_it_is_looked_at(world: Callable[[], SimulatedWorld]) -> None:
    raw = study(world())
    raw["metadata"]["generation"] += 1
    assert kstatus.read(raw).status is Status.IN_PROGRESS


# What holds for the conditions of every study


def conditions(status: StudyStatus) -> dict[str, bool]:
    """Which conditions are true."""
    return {condition.type: condition.status == "True" for condition in status.conditions}


@settings(max_examples=200, deadline=None)
@given(spec=specs(), data=st.data())
def test_conditions_never_contradict_each_other_and_a_finished_study_stays_finished(spec: StudySpec, data: st.DataObject) -> None:
    world = SimulatedWorld(spec=spec, space_size=data.draw(st.sampled_from([2, 10**9])))
    before = project(world.facts, world.now)
    for _ in range(data.draw(st.integers(1, 20))):
        disturb(world, data)
        world.round()
        status = project(world.facts, world.now, previous=before)
        true = conditions(status)
        assert set(true) == {"Succeeded", "Failed", "Finished", "Suspended", "Reconciling", "Stalled"}
        assert true["Finished"] == (true["Succeeded"] != true["Failed"])
        assert not (true["Succeeded"] and true["Failed"])
        assert true["Reconciling"] != (true["Finished"] or true["Suspended"] or true["Stalled"])
        assert not (true["Finished"] and true["Suspended"])
        assert not true["Finished"] or true["Stalled"] == true["Failed"]
        if conditions(before)["Finished"]:
            assert status.conditions == tuple(
                condition.model_copy(update={"observed_generation": world.facts.generation}) for condition in before.conditions
            )
        reading = kstatus.read(served(status, generation=world.facts.generation))
        assert (reading.status is Status.IN_PROGRESS) == true["Reconciling"]
        assert (reading.status is Status.FAILED) == true["Stalled"]
        before = status

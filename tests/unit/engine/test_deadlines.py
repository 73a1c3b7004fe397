"""When time alone makes the engine act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.engine.deadlines import next_deadline
from tuning_operator.engine.facts import Outcome, Phase

BEGAN: Final = 1_000.0
ONE: Final = {"maxTrials": 1}
CONTAINER: Final = {"template": {"spec": {"containers": [{"name": "t"}]}}}
TWO_GPUS: Final = {"gpus": 2, **CONTAINER}
TWO_GPU_MINUTES: Final = 2 / 60  # of maxGpuHours: a minute of one attempt, half of that with two of them


@dataclass(frozen=True)
class Deadline:
    sentence: str
    changes: dict[str, Any]
    story: Callable[[SimulatedWorld], None]
    at: float | None
    accepted_as: Phase = Phase.RUNNING


def _nothing_happens(world: SimulatedWorld) -> None:
    pass


def _one_ends(world: SimulatedWorld) -> None:
    world.now += 10
    world.end(0, Outcome.SUCCEEDED)


def _study_ends(world: SimulatedWorld) -> None:
    _one_ends(world)
    world.settle()


def _study_ends_and_goes(world: SimulatedWorld) -> None:
    _study_ends(world)
    world.now += 60
    world.settle()


def _study_ends_and_is_deleted(world: SimulatedWorld) -> None:
    _study_ends(world)
    world.delete()


def _time_goes_by(world: SimulatedWorld) -> None:
    world.now += 100


def _one_is_held_up(world: SimulatedWorld) -> None:
    world.now += 1
    world.hold_up(0)


def _one_gets_its_place_later(world: SimulatedWorld) -> None:
    world.now += 7
    world.place(0)


def _both_wait_then_one_gets_its_place(world: SimulatedWorld) -> None:
    world.now += 1_000
    world.place(1)


def _one_was_stopped_in_the_queue(world: SimulatedWorld) -> None:
    world.now += 1_000
    world.edit(world.facts.spec.model_copy(update={"suspend": True}))
    world.settle()
    world.vanish(0)
    world.settle()


def _asked_to_stop(world: SimulatedWorld) -> None:
    world.now += 60
    world.settle()


DEADLINES: Final = (
    Deadline("none, without a limit", {}, _nothing_happens, None),
    Deadline("the end of maxDuration", {"budget": {**ONE, "maxDuration": "90s"}}, _nothing_happens, BEGAN + 90),
    Deadline("one in the past, when nobody looked in time", {"budget": {**ONE, "maxDuration": "90s"}}, _time_goes_by, BEGAN + 90),
    Deadline("none, once the study has ended before", {"budget": {**ONE, "maxDuration": "90s"}}, _study_ends, None),
    Deadline("the time limit of a trial", {"trial": {"timeout": "1m", **CONTAINER}}, _nothing_happens, BEGAN + 60),
    Deadline("the time limit of the trial that runs", {"trial": {"timeout": "1m", **CONTAINER}}, _one_is_held_up, BEGAN + 60),
    Deadline(
        "none, while the only trial is held up",
        {"budget": ONE, "trial": {"timeout": "1m", **CONTAINER}},
        _one_is_held_up,
        None,
    ),
    Deadline(
        "none, while every trial waits for a place",
        {"trial": {"timeout": "1m", **TWO_GPUS}, "budget": {**ONE, "maxGpuHours": TWO_GPU_MINUTES}},
        _nothing_happens,
        None,
        accepted_as=Phase.PENDING,
    ),
    Deadline(
        "counted from when the trial got its place",
        {"budget": ONE, "trial": {"timeout": "1m", **CONTAINER}},
        _one_gets_its_place_later,
        BEGAN + 67,
        accepted_as=Phase.PENDING,
    ),
    Deadline(
        "none, once the trial is asked to stop", {"budget": ONE, "trial": {"timeout": "1m", **CONTAINER}}, _asked_to_stop, None
    ),
    Deadline(
        "the end of maxGpuHours, as far as what runs uses them up",
        {"budget": {"maxTrials": 4, "parallelism": 2, "maxGpuHours": TWO_GPU_MINUTES}, "trial": TWO_GPUS},
        _nothing_happens,
        BEGAN + 30,
    ),
    Deadline(
        "the end of maxGpuHours at the pace of what is left running",
        {"budget": {"maxTrials": 2, "parallelism": 2, "maxGpuHours": TWO_GPU_MINUTES}, "trial": TWO_GPUS},
        _one_ends,
        BEGAN + 50,
    ),
    Deadline(
        "the end of maxGpuHours, to which waiting adds nothing",
        {"budget": {"maxTrials": 2, "parallelism": 2, "maxGpuHours": TWO_GPU_MINUTES}, "trial": TWO_GPUS},
        _both_wait_then_one_gets_its_place,
        BEGAN + 1_060,
        accepted_as=Phase.PENDING,
    ),
    Deadline(
        "none, though an attempt waited for long before it was stopped",
        {"budget": {**ONE, "maxGpuHours": TWO_GPU_MINUTES}, "trial": TWO_GPUS},
        _one_was_stopped_in_the_queue,
        None,
        accepted_as=Phase.PENDING,
    ),
    Deadline("the end of its time to live", {"budget": ONE, "ttlSecondsAfterFinished": 60}, _study_ends, BEGAN + 70),
    Deadline("none, once it is deleted by that", {"budget": ONE, "ttlSecondsAfterFinished": 60}, _study_ends_and_goes, None),
    Deadline("none, once the user deleted it", {"budget": ONE, "ttlSecondsAfterFinished": 60}, _study_ends_and_is_deleted, None),
    Deadline(
        "the nearest of several",
        {"budget": {**ONE, "maxDuration": "30s"}, "trial": {"timeout": "1m", **CONTAINER}},
        _nothing_happens,
        BEGAN + 30,
    ),
)


@pytest.mark.parametrize("deadline", DEADLINES, ids=[deadline.sentence for deadline in DEADLINES])
def test_the_next_deadline_is(deadline: Deadline) -> None:
    world = SimulatedWorld(spec=study_spec(**deadline.changes), now=BEGAN, accepted_as=deadline.accepted_as)
    world.settle()
    deadline.story(world)
    expected = None if deadline.at is None else pytest.approx(deadline.at, rel=0, abs=1e-6)
    assert next_deadline(world.facts, world.now) == expected

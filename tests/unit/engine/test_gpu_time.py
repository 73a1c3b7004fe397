"""What an attempt costs: the time that it holds its place, counted once, whoever looks and whenever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import pytest
from tests.support.simulated_world import SimulatedWorld, newest
from tests.support.studies import study_spec

from tuning_operator.engine import summary
from tuning_operator.engine.facts import Outcome, Phase, StudyFacts
from tuning_operator.engine.status import project
from tuning_operator.store.codec import ended_from_json, ended_to_json

FOUR_GPUS: Final = {"gpus": 4, "template": {"spec": {"containers": [{"name": "t"}]}}}
HOUR: Final = 3600.0


@dataclass(frozen=True)
class Life:
    """An attempt's life until it is concluded, and the hours for which it held its place."""

    sentence: str
    story: Callable[[SimulatedWorld], None]
    hours: float


def _runs_and_succeeds(world: SimulatedWorld) -> None:
    world.place(0)
    world.now += 2 * HOUR
    world.end(0, Outcome.SUCCEEDED)


def _waits_then_runs(world: SimulatedWorld) -> None:
    world.now += 10 * HOUR
    _runs_and_succeeds(world)


def _ends_and_is_seen_late(world: SimulatedWorld) -> None:
    _runs_and_succeeds(world)
    world.now += 5 * HOUR


def _is_held_up_in_its_place(world: SimulatedWorld) -> None:
    world.place(0)
    world.hold_up(0)
    world.now += 2 * HOUR
    world.end(0, Outcome.CONFIGURATION)


def _waits_and_is_suspended(world: SimulatedWorld) -> None:
    world.now += 10 * HOUR
    world.edit(world.facts.spec.model_copy(update={"suspend": True}))
    world.settle()
    world.vanish(0)


def _waits_and_is_deleted_before_it_ran(world: SimulatedWorld) -> None:
    world.now += 10 * HOUR
    world.end(0, Outcome.DISRUPTED)


def _runs_and_its_node_is_lost(world: SimulatedWorld) -> None:
    world.place(0)
    world.now += 2 * HOUR
    world.vanish(0)


def _runs_and_is_suspended(world: SimulatedWorld) -> None:
    world.place(0)
    world.now += 2 * HOUR
    world.edit(world.facts.spec.model_copy(update={"suspend": True}))
    world.settle()
    world.end(0, Outcome.DISRUPTED)


def _ends_before_it_began_by_another_clock(world: SimulatedWorld) -> None:
    world.place(0)
    world.now -= 60
    world.end(0, Outcome.FAILED)


LIVES: Final = (
    Life("that runs for two hours", _runs_and_succeeds, 2),
    Life("that waits for ten hours and runs for two", _waits_then_runs, 2),
    Life("whose end is seen five hours late", _ends_and_is_seen_late, 2),
    Life("that is held up in its place for two hours", _is_held_up_in_its_place, 2),
    Life("that waits for ten hours and is suspended", _waits_and_is_suspended, 0),
    Life("that waits for ten hours and is deleted by hand", _waits_and_is_deleted_before_it_ran, 0),
    Life("that runs for two hours and vanishes with its node", _runs_and_its_node_is_lost, 2),
    Life("that runs for two hours and is suspended", _runs_and_is_suspended, 2),
    Life("that ended before it began, by its node's clock", _ends_before_it_began_by_another_clock, 0),
)


def reloaded(facts: StudyFacts) -> StudyFacts:
    """The same study after a restart, with what the runtime kept of recorded attempts gone."""
    for trial in facts.trials:
        for attempt in trial.attempts:
            if attempt.ended is not None:
                kept = replace(attempt, ended=ended_from_json(ended_to_json(attempt.ended)), observed=None)
                facts = facts.with_trial(facts.trial(trial.number).with_attempt(kept))
    return facts


@pytest.mark.parametrize("life", LIVES, ids=[life.sentence for life in LIVES])
def test_an_attempt(life: Life) -> None:
    spec = study_spec(budget={"maxTrials": 1}, retry={"failures": 0}, trial=FOUR_GPUS)
    world = SimulatedWorld(spec=spec, accepted_as=Phase.PENDING)
    world.settle()
    life.story(world)
    before = summary.attempt_hours(newest(world, 0), world.now)
    world.settle()
    world.now += 100 * HOUR
    first = world.facts.trial(0).attempts[0]
    assert first.ended is not None
    assert before == summary.attempt_hours(first, world.now) == pytest.approx(life.hours)
    for facts in (world.facts, reloaded(world.facts)):
        assert project(facts, world.now).usage.gpu_hours == pytest.approx(4 * life.hours)


def test_an_attempt_costs_while_it_runs_and_nothing_while_it_waits() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, trial=FOUR_GPUS), accepted_as=Phase.PENDING)
    world.settle()
    world.now += 10 * HOUR
    assert summary.gpu_hours(world.facts, world.now) == 0
    world.place(0)
    world.now += 0.5 * HOUR
    assert summary.gpu_hours(world.facts, world.now) == 2
    assert summary.trial_hours(world.facts, world.now) == 0.5


def test_every_attempt_of_a_trial_costs_and_waiting_between_them_does_not() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, trial=FOUR_GPUS), accepted_as=Phase.PENDING)
    for _ in range(2):
        world.settle()
        world.now += 3 * HOUR
        world.place(0)
        world.now += HOUR
        world.end(0, Outcome.DISRUPTED)
    world.settle()
    usage = project(world.facts, world.now).usage
    assert (usage.trial_hours, usage.gpu_hours, usage.wasted_gpu_hours) == (2, 8, 8)


def test_an_attempt_stopped_for_time_holds_its_place_until_it_has_gone() -> None:
    spec = study_spec(budget={"maxTrials": 1}, trial={"timeout": "1h", **FOUR_GPUS})
    world = SimulatedWorld(spec=spec)
    world.settle()
    world.now += HOUR
    world.settle()
    world.now += 60
    world.end(0, Outcome.FAILED)
    world.settle()
    assert summary.trial_hours(world.facts, world.now) == pytest.approx(61 / 60)

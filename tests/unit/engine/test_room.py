"""What keeps a study from starting more than runs: the cluster, and other studies."""

from __future__ import annotations

from typing import Final

import pytest
from tests.support.simulated_studies import NO_SECRET
from tests.support.simulated_world import SimulatedWorld, newest
from tests.support.studies import study_spec

from tuning_operator.engine.actions import AskTrial, ClaimAttempt
from tuning_operator.engine.facts import Outcome, StopReason

TIMED: Final = {"timeout": "1m", "template": {"spec": {"containers": [{"name": "t"}]}}}


def test_what_is_held_up_under_today_s_spec_is_waited_for() -> None:
    world = SimulatedWorld(spec=study_spec())
    world.settle()
    world.edit(study_spec())
    world.end(0, Outcome.DISRUPTED)
    world.settle()
    world.hold_up(0)
    assert not world.decide(), "its attempt is of the new generation"


def test_while_something_keeps_trials_from_running_what_runs_goes_on_and_nothing_is_claimed() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 5, "parallelism": 3}))
    world.settle()
    world.obstruct(NO_SECRET)
    assert not world.decide()
    world.end(0, Outcome.SUCCEEDED)
    world.end(1, Outcome.DISRUPTED)
    world.settle()
    assert [trial.number for trial in world.running()] == [2]
    assert [len(trial.attempts) for trial in world.facts.trials] == [1, 1, 1], "neither a new trial nor a next attempt"
    world.obstruct()
    world.settle()
    assert [trial.number for trial in world.running()] == [1, 2, 3]


def test_the_baseline_waits_as_well_while_something_keeps_trials_from_running() -> None:
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 2}))
    world.obstruct(NO_SECRET)
    assert not world.decide()


def test_being_held_up_does_not_count_against_the_time_limit() -> None:
    world = SimulatedWorld(spec=study_spec(trial=TIMED))
    world.settle()
    world.hold_up(0)
    world.now += 61
    world.settle()
    assert newest(world, 0).stop_reason is None
    assert newest(world, 1).stop_reason is StopReason.TIMEOUT


# A share of a limit

SHARES: Final[dict[str, tuple[int | None, int]]] = {
    "no limit": (None, 4),
    "more than it wants": (9, 4),
    "less than it wants": (3, 3),
    "one place": (1, 1),
    "no place": (0, 0),
}


@pytest.mark.parametrize(("share", "runs"), SHARES.values(), ids=SHARES.keys())
@pytest.mark.parametrize("repeats", [0, 2], ids=["search", "baseline"])
def test_a_study_that_wants_four_places_and_has_a_share_of(share: int | None, runs: int, repeats: int) -> None:
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": repeats}, budget={"maxTrials": 9, "parallelism": 4}))
    world.leave_room(share)
    world.settle()
    assert len(world.running()) == (min(runs, repeats) if repeats else runs)


def test_a_share_that_shrinks_stops_nothing_and_is_kept_from_then_on() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 9, "parallelism": 4}))
    world.settle()
    world.leave_room(2)
    assert not world.decide()
    for number in range(3):
        world.end(number, Outcome.SUCCEEDED)
    world.settle()
    assert [trial.number for trial in world.running()] == [3, 4]


def test_next_attempts_and_new_trials_of_one_look_share_what_is_free() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 9, "parallelism": 4}))
    world.settle()
    world.leave_room(3)
    world.end(0, Outcome.DISRUPTED)
    world.end(1, Outcome.SUCCEEDED)
    world.end(2, Outcome.SUCCEEDED)
    claims = [action for action in world.decide() if isinstance(action, ClaimAttempt | AskTrial)]
    assert claims == [ClaimAttempt(trial=0, attempt=1), AskTrial(number=4)], "one runs, and one of each is new"

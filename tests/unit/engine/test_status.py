"""The status that facts imply."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.support.simulated_studies import NO_ROOM, NO_SECRET
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.status import StudyStatus
from tuning_operator.engine.facts import Outcome, SamplerChoice, StudyCause
from tuning_operator.engine.status import project, project_refused

CHOICE = SamplerChoice(sampler="gp", reason="numeric space")


def conditions(status: StudyStatus) -> dict[str, str]:
    return {condition.type: condition.status for condition in status.conditions}


def test_all_conditions_are_present_from_the_first_visit() -> None:
    status = project(SimulatedWorld(spec=study_spec()).facts, 1_000.0)
    assert status.phase == "Pending"
    assert conditions(status) == {
        "Succeeded": "False",
        "Failed": "False",
        "Finished": "False",
        "Suspended": "False",
        "Reconciling": "True",
        "Stalled": "False",
    }


CAUSES: dict[str, tuple[tuple[StudyCause, ...], tuple[str, str, str], tuple[str, str, str]]] = {
    "none": ((), ("True", "Searching", ""), ("False", "NotStalled", "")),
    "one that passes": ((NO_ROOM,), ("True", NO_ROOM.reason, NO_ROOM.message), ("False", "NotStalled", "")),
    "one that somebody must mend": (
        (NO_SECRET,),
        ("False", NO_SECRET.reason, ""),
        ("True", NO_SECRET.reason, f"Secret/registry: {NO_SECRET.message}"),
    ),
    "both": (
        (NO_ROOM, NO_SECRET),
        ("False", NO_SECRET.reason, ""),
        ("True", NO_SECRET.reason, f"Secret/registry: {NO_SECRET.message}"),
    ),
}


@pytest.mark.parametrize(("causes", "reconciling", "stalled"), CAUSES.values(), ids=CAUSES.keys())
def test_of_what_keeps_trials_from_running_the_conditions_say(
    causes: tuple[StudyCause, ...], reconciling: tuple[str, str, str], stalled: tuple[str, str, str]
) -> None:
    world = SimulatedWorld(spec=study_spec())
    world.settle()
    world.obstruct(*causes)
    said = {c.type: (c.status, c.reason, c.message) for c in project(world.facts, world.now).conditions}
    assert (said["Reconciling"], said["Stalled"]) == (reconciling, stalled)


def test_a_verdict_outweighs_what_keeps_trials_from_running() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, 0.5))
    world.obstruct(NO_SECRET)
    assert conditions(project(world.facts, world.now))["Stalled"] == "False"


def test_a_failed_study_is_stalled_and_says_why() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, retry={"failures": 0}))
    world.settle()
    world.end(0, Outcome.FAILED)
    world.settle()
    stalled = next(c for c in project(world.facts, world.now).conditions if c.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "StudyFailed")
    assert stalled.message.startswith("1 search trials and no trial gave a value")


def test_a_finished_study_shows_baseline_best_and_the_gain_as_provisional() -> None:
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 2}, budget={"maxTrials": 3}))
    values = iter([0.4, 0.6, 0.7, 0.9, 0.8])
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, next(values)))
    status = project(world.facts, world.now, choice=CHOICE)
    assert status.phase == "Succeeded"
    assert conditions(status) | {"Reconciling": "False"} == conditions(status)
    assert status.baseline is not None
    assert (status.baseline.value, status.baseline.repeats) == (0.5, 2)
    assert status.baseline.stddev == pytest.approx(0.2**0.5 / 10**0.5, rel=1e-6)
    assert status.best is not None
    assert (status.best.trial, status.best.value) == (3, 0.9)
    assert [best.value for best in status.top] == [0.9, 0.8, 0.7]
    assert status.improvement is not None
    assert status.improvement.absolute == pytest.approx(0.4)
    assert status.improvement.basis == "Provisional"
    assert status.trials.progress == "3/3"
    assert status.search is not None
    assert status.search.sampler == "gp"


def test_the_gain_is_positive_when_a_minimized_metric_falls() -> None:
    spec = study_spec(
        objectives=[{"metric": "val_accuracy", "direction": "minimize"}], baseline={"repeats": 1}, budget={"maxTrials": 1}
    )
    world = SimulatedWorld(spec=spec)
    values = iter([0.9, 0.4])
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, next(values)))
    improvement = project(world.facts, world.now).improvement
    assert improvement is not None
    assert improvement.absolute == pytest.approx(0.5)


def test_a_condition_keeps_its_transition_time_while_its_status_stays() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    world.settle()
    first = project(world.facts, 1_000.0)
    second = project(world.facts, 2_000.0, previous=first)
    assert first.conditions == second.conditions
    world.end(0, Outcome.SUCCEEDED)
    world.settle()
    third = project(world.facts, 3_000.0, previous=second)
    times = {c.type: c.last_transition_time for c in third.conditions}
    assert times["Finished"] == datetime.fromtimestamp(3_000, UTC)
    assert times["Stalled"] == datetime.fromtimestamp(1_000, UTC)


def test_disruptions_are_shown_apart_from_failures() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    world.settle()
    world.end(0, Outcome.DISRUPTED)
    world.settle()
    counts = project(world.facts, world.now).trials
    assert (counts.disrupted, counts.failed, counts.running) == (1, 0, 1)


def test_the_time_left_is_that_of_the_remaining_waves_and_unknown_while_nothing_can_start() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 5, "parallelism": 2}))
    world.settle()
    world.now += 10
    world.end(0, Outcome.SUCCEEDED)
    world.settle()
    status = project(world.facts, world.now)
    assert status.estimated_completion == datetime.fromtimestamp(world.now + 2 * 10, UTC)
    world.leave_room(1)
    assert project(world.facts, world.now).estimated_completion == datetime.fromtimestamp(world.now + 4 * 10, UTC)
    world.leave_room(0)
    assert project(world.facts, world.now).estimated_completion is None
    world.leave_room(None)
    world.obstruct(NO_ROOM)
    assert project(world.facts, world.now).estimated_completion is None
    world.obstruct()
    world.edit(study_spec(suspend=True))
    assert project(world.facts, world.now).estimated_completion is None


def test_hours_are_counted_for_every_attempt_and_wasted_ones_apart() -> None:
    trial = {"gpus": 4, "template": {"spec": {"containers": [{"name": "t"}]}}}
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, trial=trial))
    world.settle()
    world.now += 3600
    world.end(0, Outcome.DISRUPTED)
    world.settle()
    world.now += 1800
    usage = project(world.facts, world.now).usage
    assert (usage.trial_hours, usage.gpu_hours, usage.wasted_gpu_hours) == (1.5, 6.0, 4.0)


def test_what_pruning_saves_is_estimated_by_what_completed_trials_cost() -> None:
    trial = {"gpus": 4, "template": {"spec": {"containers": [{"name": "t"}]}}}
    spec = study_spec(budget={"maxTrials": 5, "parallelism": 1}, trial=trial, pruning={"pruner": "threshold", "lower": 0.5})
    world = SimulatedWorld(spec=spec)
    saved = []
    for hours, score in [(1, 0.1), (10, 0.9), (20, 0.9), (2, 0.1), (40, 0.1)]:
        world.settle()
        number = world.running()[0].number
        world.report(number, 0, score)
        world.settle()
        world.now += hours * 3600
        world.end(number, Outcome.SUCCEEDED if score > 0.5 else Outcome.DISRUPTED)
        world.settle()
        saved.append(project(world.facts, world.now).usage.saved_gpu_hours)
    # No trial has completed; 10 hours instead of 1, 15 instead of 1, 30 instead of 3, 45 instead of 43.
    assert saved == [0, 4 * 9, 4 * 14, 4 * 27, 4 * 2]


def test_the_pruner_in_use_is_said_with_the_reason_and_none_is_not() -> None:
    auto = {"pruner": "auto", "maxResource": 27}
    chosen = project(SimulatedWorld(spec=study_spec(pruning=auto, budget={"maxTrials": 30})).facts, 1_000.0).pruning
    assert chosen is not None
    assert (chosen.pruner, chosen.reason) == ("asha", "30 trials: of every 3 at a rung one goes on, first at step 3 of 27")
    asked = project(SimulatedWorld(spec=study_spec(pruning={"pruner": "median"})).facts, 1_000.0).pruning
    assert asked is not None
    assert (asked.pruner, asked.reason) == ("median", "as the manifest says")
    assert project(SimulatedWorld(spec=study_spec()).facts, 1_000.0).pruning is None


def test_a_status_survives_json() -> None:
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 1}, budget={"maxTrials": 2}))
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, 0.5))
    status = project(world.facts, world.now, choice=CHOICE)
    assert StudyStatus.model_validate_json(status.model_dump_json()) == status


def test_a_stalled_study_says_so_in_one_word_and_one_that_waits_does_not() -> None:
    facts = SimulatedWorld(spec=study_spec()).facts
    missing = StudyCause(reason="SecretMissing", message="secret not found", object="Secret/token")
    crowded = StudyCause(reason="Unschedulable", message="0/3 nodes are available", passing=True)
    assert project(replace(facts, causes=(missing,)), 1_000.0).phase == "Stalled"
    assert project(replace(facts, causes=(crowded,)), 1_000.0).phase == "Pending"
    assert project_refused(missing, 1_000.0, generation=1).phase == "Stalled"


def test_the_baseline_says_how_many_of_its_runs_have_ended() -> None:
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 3}, budget={"maxTrials": 1, "parallelism": 3}))
    world.settle()
    world.end(1, Outcome.SUCCEEDED)
    world.settle()
    (said,) = [c.message for c in project(world.facts, world.now).conditions if c.type == "Reconciling"]
    assert said == "1 of 3 runs of the defaults have ended"

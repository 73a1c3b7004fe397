"""What trials say was wrong with their training: names of failures, and the study's status."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import pytest
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.engine.facts import Outcome, Trial, TrialState
from tuning_operator.engine.status import project
from tuning_operator.engine.tally import MOST_DIAGNOSES, Tally

NAN = float("nan")
OVERFITTING = Diagnosis(name="overfitting", advice="stop earlier", figure=1.68, threshold=1.2)
UNSTABLE = Diagnosis(name="unstable", advice="halve the learning rate", figure=math.inf)
OUT_OF_MEMORY = Diagnosis(name="out-of-memory", advice="halve the batch size")
OWN = Diagnosis(name="my-own-remark", advice="the sensor was off")


def ended(value: float, *diagnoses: Diagnosis) -> Trial:
    """The only trial of a study, which may be retried."""
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, retry={"failures": 3}))
    world.settle()
    world.end(0, Outcome.SUCCEEDED, value=value, diagnoses=diagnoses)
    world.settle()
    return world.facts.trial(0)


@pytest.mark.parametrize(
    ("diagnoses", "reason", "message"),
    [
        pytest.param((OUT_OF_MEMORY, UNSTABLE), "OutOfMemory", "halve the batch size", id="by its first diagnosis"),
        pytest.param((Diagnosis(name="diverged"),), "Diverged", "val_accuracy is nan", id="by one without advice"),
        pytest.param((OWN, UNSTABLE), "NotFinite", "val_accuracy is nan: the training diverged, or", id="not by one of its own"),
    ],
)
def test_a_trial_without_a_finite_value_is_named_and_not_retried(
    diagnoses: tuple[Diagnosis, ...], reason: str, message: str
) -> None:
    trial = ended(NAN, *diagnoses)
    assert (trial.state, trial.reason, len(trial.attempts)) == (TrialState.FAIL, reason, 1)
    assert trial.message.startswith(message)
    assert trial.diagnoses == diagnoses


def test_a_trial_with_a_value_completes_whatever_was_wrong() -> None:
    trial = ended(0.5, OUT_OF_MEMORY)
    assert (trial.state, trial.value, trial.diagnoses) == (TrialState.COMPLETE, 0.5, (OUT_OF_MEMORY,))


@pytest.mark.parametrize(
    ("posted", "written", "kept"),
    [
        pytest.param((OVERFITTING,), (), (OVERFITTING,), id="that were posted count where the node is lost"),
        pytest.param((), (UNSTABLE,), (UNSTABLE,), id="that were not posted are in the result file"),
    ],
)
def test_diagnoses(posted: tuple[Diagnosis, ...], written: tuple[Diagnosis, ...], kept: tuple[Diagnosis, ...]) -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    world.settle()
    trial = world.facts.trial(0)
    attempt = replace(trial.last, posted={"val_accuracy": 0.5}, posted_diagnoses=posted)
    world.facts = world.facts.with_trial(trial.with_attempt(attempt))
    world.end(0, Outcome.DISRUPTED if not written else Outcome.SUCCEEDED, diagnoses=written)
    world.settle()
    assert world.facts.trial(0).diagnoses == kept


def told(number: int, *diagnoses: Diagnosis) -> Trial:
    return replace(ended(0.5, *diagnoses), number=number)


def test_the_status_counts_them_with_an_example_that_of_most_trials_first() -> None:
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 1}, budget={"maxTrials": 3, "parallelism": 1}))
    endings = iter([(0.4, (OVERFITTING,)), (NAN, (UNSTABLE,)), (0.6, (replace(OVERFITTING, figure=9.0),)), (0.5, ())])
    while not world.facts.finished_at:
        world.settle()
        for trial in world.facts.live:
            value, diagnoses = next(endings)
            world.end(trial.number, Outcome.SUCCEEDED, value=value, diagnoses=diagnoses)
        world.settle()
    status = project(world.facts, world.now)
    assert [(found.name, found.trials, found.example, found.figure, found.advice) for found in status.diagnoses] == [
        ("overfitting", 2, 0, 1.68, "stop earlier"),
        ("unstable", 1, 1, None, "halve the learning rate"),
    ]
    assert status.best is not None
    assert (status.best.trial, status.best.diagnoses) == (2, ("overfitting",))


def test_the_status_names_sixteen_at_most() -> None:
    many = tuple(Diagnosis(name=f"n{number:02}") for number in range(16))
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 2, "parallelism": 1}))
    for number, diagnoses in enumerate([many, (*many[:3], OWN)]):
        world.settle()
        world.end(number, Outcome.SUCCEEDED, diagnoses=diagnoses)
    world.settle()
    named = [found.name for found in project(world.facts, world.now).diagnoses]
    assert named == [diagnosis.name for diagnosis in many]


def test_tallies_add_up_to_the_same_in_any_order() -> None:
    parts = [Tally.of([told(0, UNSTABLE)]), Tally.of([told(1, OVERFITTING, UNSTABLE)]), Tally.of([told(2, OVERFITTING)])]
    sums = [dict((a + b + c).diagnoses) for a, b, c in permutations(parts)]
    assert sums == [sums[0]] * 6
    assert {name: (found.trials, found.example) for name, found in sums[0].items()} == {"unstable": (2, 0), "overfitting": (2, 1)}


def test_scripts_that_name_something_else_each_time_fill_no_memory() -> None:
    total = Tally()
    for number in range(200):
        total += Tally.of([told(number, Diagnosis(name=f"n{number}"))])
    assert list(total.diagnoses) == [f"n{number}" for number in range(MOST_DIAGNOSES)]

"""What the command line says, and what it costs to start it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.status import StudyStatus
from tuning_operator.cli.progress import trial_line
from tuning_operator.cli.result import diagnosis_line, gain_line, headline
from tuning_operator.cli.words import duration, outcome, with_spread
from tuning_operator.engine.facts import Outcome
from tuning_operator.engine.status import project


def finished(*values: float) -> tuple[SimulatedWorld, StudyStatus]:
    """A study with one baseline run and then search trials of these values."""
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 1}, budget={"maxTrials": len(values) - 1}))
    left = iter(values)
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, next(left)))
    return world, project(world.facts, world.now)


def test_a_gain_is_said_with_how_far_to_trust_it() -> None:
    _, status = finished(0.5, 0.6, 0.75)
    assert gain_line(status).startswith("Gain over the baseline: 0.25, provisional: it rests on one run, the best of 2")


def test_a_confirmed_gain_is_said_with_its_interval() -> None:
    world = SimulatedWorld(
        spec=study_spec(baseline={"repeats": 2}, budget={"maxTrials": 1, "parallelism": 1}, confirmation={"repeats": 2})
    )
    values = iter([0.5, 0.5, 0.9, 0.75, 0.75])
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, next(values)))
    assert gain_line(project(world.facts, world.now)) == (
        "Confirmed by 2 fresh runs of trial 2: 0.75 \N{PLUS-MINUS SIGN} 0, "
        "0.25 better than the defaults (95 % interval 0.25 to 0.25)."
    )


@pytest.mark.parametrize(("best", "says"), [(0.25, "is 0.25 behind the defaults' mean"), (0.5, "only equals the defaults' mean")])
def test_without_a_gain_the_defaults_are_to_be_kept(best: float, says: str) -> None:
    _, status = finished(0.5, best)
    assert says in gain_line(status)
    assert gain_line(status).endswith("Keep the defaults.")


def test_diagnoses_are_said_shortly() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 2, "parallelism": 1}))
    for number, name in enumerate(["unstable", "overfitting"]):
        world.settle()
        world.end(number, Outcome.SUCCEEDED, value=number / 2, diagnoses=(Diagnosis(name=name), Diagnosis(name="bad-start")))
    world.settle()
    assert diagnosis_line(project(world.facts, world.now)) == (
        "Diagnoses of the trainings: bad-start in 2 (such as trial 0), unstable in 1 (such as trial 0), "
        "overfitting in 1 (such as trial 1). The best trial itself: overfitting, bad-start."
    )
    assert diagnosis_line(finished(0.5, 0.75)[1]) == ""


def test_the_headline_is_the_verdict_in_its_own_words() -> None:
    _, status = finished(0.5, 0.75)
    assert headline(status) == "Succeeded: 1 search trials; best val_accuracy 0.75 in trial 1"


def test_the_headline_of_a_failed_study_calls_it_failed_and_not_stalled() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, retry={"failures": 0}))
    world.run_to_end(lambda _: (Outcome.FAILED, None))
    assert headline(project(world.facts, world.now)).startswith("Failed: 1 search trials and no trial gave a value")


def test_a_trial_stopped_by_the_end_of_the_study_is_not_called_failed() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 9, "parallelism": 2, "maxDuration": "1m"}))
    world.settle()
    world.now += 61
    world.settle()
    world.end(0, Outcome.DISRUPTED)
    world.settle()
    assert outcome(world.spec, world.facts.trial(0)) == "stopped (the study ended)"


def test_a_failed_trial_s_line_says_why() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 2}, retry={"failures": 0}))
    world.settle()
    world.end(0, Outcome.SUCCEEDED, value=None)
    world.settle()
    line = trial_line(world.spec, world.facts.trial(0), project(world.facts, world.now))
    assert "fail (MetricMissing: the result has no number under val_accuracy" in line


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_661, "1 h 1 min"), (-3, "0 s")])
def test_a_duration_has_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_mean_of_one_has_no_spread() -> None:
    assert (with_spread(0.5, None), with_spread(0.5, 0.01)) == ("0.5", "0.5 ± 0.01")


def test_the_command_loads_neither_optuna_nor_torch_nor_scikit_learn() -> None:
    probe = (
        "import sys, tuning_operator.cli.commands; "
        "print(sorted({'optuna', 'torch', 'sklearn', 'numpy', 'plotly', 'alembic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"

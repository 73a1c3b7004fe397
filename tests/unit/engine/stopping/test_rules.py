"""The rules of spec.stopping, told in sentences: when they end a search, what they say then, and what they say before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.status import StoppingStatus
from tuning_operator.engine.facts import Outcome, Verdict
from tuning_operator.engine.status import project

BEGAN: Final = 1_000.0
BASELINE: Final = (0.5, 0.7)  # standard deviation 0.1414
FALLING: Final = tuple(0.9 - number / 1000 for number in range(50))
"""The first trial is the best, and each of the others a little worse than the one before."""
RISING: Final = tuple(0.1 + number / 100 for number in range(50))
FIRST_STEADY: Final = (0.5, *([0.4] * 50))
GPUS: Final = {"gpus": 4, "template": {"spec": {"containers": [{"name": "t"}]}}}

End = float | Outcome
"""A trial completes with a value, or ends otherwise."""


def searched(ends: Sequence[End], stopping: dict[str, Any], **changes: Any) -> SimulatedWorld:
    """A study whose trials end one after the other, an hour each, until they are used up or it has ended."""
    budget = {"maxTrials": 60} | changes.pop("budget", {})
    spec = study_spec(stopping=stopping, budget=budget, retry={"failures": 0}, **changes)
    world = SimulatedWorld(spec=spec, now=BEGAN)
    for end in (*BASELINE[: spec.baseline.repeats], *ends):
        world.settle()
        if world.facts.verdict is not None:
            break
        number = world.running()[0].number
        world.now += 3600
        if isinstance(end, Outcome):
            world.end(number, end, value=None)
        else:
            world.end(number, Outcome.SUCCEEDED, value=end)
    world.settle()
    return world


@dataclass(frozen=True)
class Stop:
    sentence: str
    stopping: dict[str, Any]
    ends: Sequence[End]
    reason: str | None
    message: str = ""
    changes: dict[str, Any] | None = None


def plateau(patience: int, **more: float) -> dict[str, Any]:
    return {"plateau": {"patience": patience, **more}}


def per_trial_hour(threshold: float, **more: float) -> dict[str, Any]:
    return {"marginalGain": {"minImprovementPerTrialHour": threshold, **more}}


def per_gpu_hour(threshold: float, **more: float) -> dict[str, Any]:
    return {"marginalGain": {"minImprovementPerGpuHour": threshold, **more}}


STOPS: Final = (
    Stop(
        "ends on a plateau of as many trials as patience says",
        plateau(4, minDelta=0),
        [0.1, 0.2, *[0.2] * 9],
        "PlateauReached",
        "Stopped after 6 of 60 trials: the last 4 improved val_accuracy by 0; spec.stopping.plateau asks for more than 0; "
        "best val_accuracy 0.2 in trial 1",
    ),
    Stop("goes on while each of so many trials improves the best by more", plateau(2, minDelta=0.015), RISING, None),
    Stop(
        "ends when all of patience together improved by less than minDelta",
        plateau(4, minDelta=0.05),
        RISING,
        "PlateauReached",
        "Stopped after 5 of 60 trials: the last 4 improved val_accuracy by 0.04; spec.stopping.plateau asks for more than 0.05; "
        "best val_accuracy 0.14 in trial 4",
    ),
    Stop(
        "counts pruned, infeasible and failed trials as trials without an improvement",
        plateau(4, minDelta=0),
        [0.5, Outcome.PRUNED, Outcome.INFEASIBLE, Outcome.FAILED, 0.4, 0.9],
        "PlateauReached",
        "Stopped after 5 of 60 trials: the last 4 improved val_accuracy by 0; spec.stopping.plateau asks for more than 0; "
        "best val_accuracy 0.5 in trial 0",
    ),
    Stop("does not end on a plateau before the first value", plateau(2, minDelta=0), [Outcome.INFEASIBLE] * 9, None),
    Stop(
        "takes the spread of the baseline's runs for minDelta",
        plateau(3),
        [0.6, 0.7, 0.7, 0.7, 0.7],
        "PlateauReached",
        "Stopped after 4 of 60 trials: the last 3 improved val_accuracy by 0.1; spec.stopping.plateau asks for more than 0.14, "
        "the standard deviation of the baseline's runs; best val_accuracy 0.7 in trial 3",
        {"baseline": {"repeats": 2}},
    ),
    Stop(
        "turns the improvement where less is better",
        plateau(3, minDelta=0.25),
        [0.5, 0.25, 0.25, 0.25, 0.25],
        "PlateauReached",
        "Stopped after 4 of 60 trials: the last 3 improved val_accuracy by 0.25; spec.stopping.plateau asks for more than 0.25; "
        "best val_accuracy 0.25 in trial 1",
        {"objectives": [{"metric": "val_accuracy", "direction": "minimize"}]},
    ),
    Stop(
        "ends when a trial-hour brings too little",
        per_trial_hour(0.005),
        FIRST_STEADY,
        "MarginalGainTooSmall",
        "Stopped after 31 of 60 trials: the last 30.0 trial-hours improved val_accuracy by 0; "
        "spec.stopping.marginalGain asks for 0.005 per trial-hour; best val_accuracy 0.5 in trial 0",
    ),
    Stop("goes on while a trial-hour brings enough", per_trial_hour(0.005), RISING, None),
    Stop(
        "goes on while the newest values make a gain likely, though there was none for long",
        per_trial_hour(0.001),
        (0.5, *[0.1, 0.3, 0.45, 0.2, 0.49] * 9),
        None,
    ),
    Stop(
        "counts the GPUs of a trial",
        per_gpu_hour(0.0025),
        RISING,
        None,
        changes={"trial": GPUS | {"gpus": 2}},
    ),
    Stop(
        "ends when a GPU-hour brings too little",
        per_gpu_hour(0.0026),
        RISING,
        "MarginalGainTooSmall",
        "Stopped after 31 of 60 trials: the last 120.0 GPU-hours improved val_accuracy by 0.3; "
        "spec.stopping.marginalGain asks for 0.0026 per GPU-hour; best val_accuracy 0.4 in trial 30",
        {"trial": GPUS},
    ),
    Stop("waits until its window is filled", per_trial_hour(0.005, windowHours=45), FIRST_STEADY[:45], None),
    Stop(
        "ends once its window is filled",
        per_trial_hour(0.005, windowHours=45),
        FIRST_STEADY,
        "MarginalGainTooSmall",
        "Stopped after 46 of 60 trials: the last 45.0 trial-hours improved val_accuracy by 0; "
        "spec.stopping.marginalGain asks for 0.005 per trial-hour; best val_accuracy 0.5 in trial 0",
    ),
    Stop("waits for minTrials", per_trial_hour(0.005, minTrials=48), FIRST_STEADY[:47], None),
    Stop(
        "waits for trials beyond those that run at once",
        per_trial_hour(0.005),
        FIRST_STEADY[:37],
        None,
        changes={"budget": {"parallelism": 8}},
    ),
    Stop(
        "says that it has used up its budget rather than that it would have stopped",
        plateau(4, minDelta=0),
        [0.5] * 5,
        "MaxTrialsReached",
        "5 search trials; best val_accuracy 0.5 in trial 0",
        {"budget": {"maxTrials": 5}},
    ),
)


@pytest.mark.parametrize("stop", STOPS, ids=[stop.sentence for stop in STOPS])
def test_a_search(stop: Stop) -> None:
    verdict = searched(stop.ends, stop.stopping, **(stop.changes or {})).facts.verdict
    if stop.reason is None:
        assert verdict is None
    else:
        assert verdict == Verdict(succeeded=True, reason=stop.reason, message=stop.message, at=verdict.at if verdict else 0)


def decided(world: SimulatedWorld) -> str | None:
    return world.facts.verdict.reason if world.facts.verdict else None


def test_a_rule_that_is_edited_is_obeyed_at_the_next_look() -> None:
    world = searched(FALLING[:12], plateau(30, minDelta=0))
    assert decided(world) is None
    world.edit(study_spec(budget={"maxTrials": 60}, stopping=plateau(11, minDelta=0)))
    world.settle()
    assert decided(world) == "PlateauReached"


def test_trials_that_the_end_stopped_do_not_change_what_was_said_of_it() -> None:
    world = searched(FALLING, plateau(5, minDelta=0), budget={"parallelism": 4})
    before = project(world.facts, world.now).stopping
    for trial in world.running():
        world.end(trial.number, Outcome.DISRUPTED)
    world.settle()
    assert world.facts.finished_at is not None
    assert project(world.facts, world.now).stopping == before


@dataclass(frozen=True)
class Outlook:
    sentence: str
    stopping: dict[str, Any]
    ends: Sequence[End]
    status: StoppingStatus | None
    changes: dict[str, Any] | None = None


OUTLOOKS: Final = (
    Outlook("nothing without a rule", {}, [0.5], None),
    Outlook(
        "how many trials brought no improvement",
        plateau(30, minDelta=0.002),
        FALLING[:12],
        StoppingStatus(
            trials_since_improvement=11,
            message="plateau: 11 trials without an improvement by more than 0.002, ends the search at 30",
        ),
    ),
    Outlook(
        "from when on the gain is judged",
        per_trial_hour(0.005),
        FALLING[:12],
        StoppingStatus(
            trials_since_improvement=11,
            threshold=0.005,
            message="marginalGain: judged from 31 ended trials on; 12 have ended",
        ),
    ),
    Outlook(
        "that the budget ends the search before the gain is judged",
        per_trial_hour(0.005),
        FALLING[:12],
        StoppingStatus(
            trials_since_improvement=11,
            threshold=0.005,
            message="marginalGain: judged from 32 ended trials on, beyond budget.maxTrials 20; 12 have ended",
        ),
        {"budget": {"maxTrials": 20, "parallelism": 2}},
    ),
    Outlook(
        "that the window is not filled",
        per_trial_hour(0.005, windowHours=45),
        FALLING[:40],
        StoppingStatus(
            trials_since_improvement=39,
            threshold=0.005,
            message="marginalGain: waits until values and cost fill its window",
        ),
    ),
    Outlook(
        "the gain of a trial-hour and its threshold",
        per_trial_hour(0.005),
        RISING[:40],
        StoppingStatus(
            trials_since_improvement=0,
            gain_per_trial_hour=0.01,
            threshold=0.005,
            window_hours=30,
            message="marginalGain: 0.01 per trial-hour by the last 30.0 trial-hours, ends the search below 0.005",
        ),
    ),
    Outlook(
        "both rules, the gain in GPU-hours",
        plateau(30, minDelta=0.025) | per_gpu_hour(0.001),
        RISING[:40],
        StoppingStatus(
            trials_since_improvement=2,
            gain_per_gpu_hour=0.0025,
            threshold=0.001,
            window_gpu_hours=120,
            message="plateau: 2 trials without an improvement by more than 0.025, ends the search at 30; "
            "marginalGain: 0.0025 per GPU-hour by the last 120.0 GPU-hours, ends the search below 0.001",
        ),
        {"trial": GPUS},
    ),
)


@pytest.mark.parametrize("outlook", OUTLOOKS, ids=[outlook.sentence for outlook in OUTLOOKS])
def test_the_status_says(outlook: Outlook) -> None:
    changes = dict(outlook.changes or {})
    world = searched(outlook.ends, outlook.stopping, **changes)
    said = project(world.facts, world.now).stopping
    assert said == outlook.status


def test_the_status_says_that_the_baseline_must_give_the_spread_first() -> None:
    said = project(SimulatedWorld(spec=study_spec(stopping=plateau(2), baseline={"repeats": 2})).facts, BEGAN).stopping
    assert said is not None
    assert said.message == "plateau: waits for the baseline, whose standard deviation it uses as minDelta"


def test_the_status_says_what_is_missing_when_too_few_runs_of_the_baseline_gave_a_value() -> None:
    world = SimulatedWorld(spec=study_spec(stopping=plateau(2), baseline={"repeats": 2}, retry={"failures": 0}))
    world.settle()
    world.end(0, Outcome.SUCCEEDED, value=0.5)
    world.end(1, Outcome.INFEASIBLE)
    world.settle()
    said = project(world.facts, world.now).stopping
    assert said is not None
    assert said.message == (
        "plateau: minDelta is missing, and fewer than two baseline runs gave a value; set spec.stopping.plateau.minDelta"
    )

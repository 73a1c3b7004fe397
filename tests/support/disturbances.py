"""Studies of every kind, and what may happen to them at any time: for property tests of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from hypothesis import strategies as st
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.contract import STEPS_PER_FOLD
from tuning_operator.api.pruning import PrunerName
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.facts import Outcome, Phase, StudyCause

ENDS = st.sampled_from(
    [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INFEASIBLE, Outcome.DISRUPTED, Outcome.PRUNED]
)
CAUSES = st.builds(StudyCause, reason=st.just("QuotaUsedUp"), message=st.just("quota gpus is used up"), passing=st.booleans())
VALUES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1))


@st.composite
def prunings(draw: st.DrawFn) -> dict[str, Any]:
    """The sections of a manifest that say what is pruned, with every pruner, with folds and without."""
    pruner = draw(st.sampled_from(get_args(PrunerName)))
    pruning: dict[str, Any] = {"pruner": pruner, "startupTrials": draw(st.integers(1, 3)), "warmupSteps": draw(st.integers(0, 2))}
    match pruner:
        case "auto" | "asha" | "hyperband":
            pruning |= {"maxResource": draw(st.integers(1, 9)), "reductionFactor": draw(st.integers(2, 3))}
        case "percentile":
            pruning |= {"percentile": draw(st.sampled_from([1, 25, 99]))}
        case "threshold":
            pruning |= draw(st.sampled_from([{"lower": 0.2}, {"upper": 0.8}, {"lower": -1, "upper": 1}]))
    if pruner == "patient" or draw(st.booleans()):
        pruning |= {"patience": draw(st.integers(1, 2)), "minDelta": draw(st.sampled_from([0, 0.1]))}
    if pruner != "folds" and draw(st.booleans()):
        return {"pruning": pruning}
    return {"pruning": pruning, "validation": {"folds": draw(st.integers(2, 3)), "strictFolds": draw(st.booleans())}}


@st.composite
def stoppings(draw: st.DrawFn, *, gpus: bool) -> dict[str, Any]:
    """The section of a manifest that says when to stop early, with no rule, with one and with both."""
    stopping: dict[str, Any] = {}
    if draw(st.booleans()):
        stopping["plateau"] = {"patience": draw(st.integers(1, 4)), "minDelta": draw(st.sampled_from([0, 0.1]))}
    if draw(st.booleans()):
        unit = draw(st.sampled_from(["Gpu", "Trial"] if gpus else ["Trial"]))
        stopping["marginalGain"] = {f"minImprovementPer{unit}Hour": draw(st.sampled_from([0.1, 1e3])), "minTrials": 1}
    return stopping


@st.composite
def specs(draw: st.DrawFn) -> StudySpec:
    tested = draw(st.booleans())
    budget: dict[str, Any] = {"maxTrials": draw(st.integers(1, 8)), "parallelism": draw(st.integers(1, 5))}
    if draw(st.booleans()):
        budget["maxFailedTrials"] = draw(st.integers(0, 4))
    if draw(st.booleans()):
        budget["maxDuration"] = draw(st.sampled_from(["30s", "2m", "2h"]))
    trial: dict[str, Any] = {"template": {"spec": {"containers": [{"name": "trainer"}]}}}
    if draw(st.booleans()):
        trial["timeout"] = "20s"
    if draw(st.booleans()):
        trial["gpus"] = draw(st.integers(1, 8))
        budget["maxGpuHours"] = draw(st.sampled_from([0.01, 0.3, 7.0]))
    objective: dict[str, Any] = {"metric": "val_accuracy", "direction": draw(st.sampled_from(["maximize", "minimize"]))}
    if draw(st.booleans()):
        objective["target"] = draw(st.floats(-1, 2))
    return study_spec(
        budget=budget,
        trial=trial,
        objectives=[objective],
        baseline={"repeats": draw(st.integers(int(tested), 3))},
        confirmation={"repeats": draw(st.sampled_from([0, 0, 1, 3]))},
        **({"finalEvaluation": {"metric": "test_accuracy", "repeats": draw(st.integers(1, 2))}} if tested else {}),
        **draw(prunings()),
        stopping=draw(stoppings(gpus="gpus" in trial)),
        retry={"failures": draw(st.integers(0, 2))},
        ttlSecondsAfterFinished=draw(st.sampled_from([None, 0, 60])),
    )


def disturb(world: SimulatedWorld, data: st.DataObject) -> None:
    """One thing that may happen at any time."""
    running = [trial.number for trial in world.running()]
    kinds = [*_TO_THE_STUDY, *(_TO_AN_ATTEMPT if running else ()), *(("end",) * 2 if running else ())]
    kind = data.draw(st.sampled_from(kinds))
    if kind in _TO_THE_STUDY:
        _TO_THE_STUDY[kind](world, data)
    else:
        _TO_AN_ATTEMPT[kind](world, data.draw(st.sampled_from(running)), data)


def clear(world: SimulatedWorld) -> None:
    """Nothing keeps trials from running any more."""
    world.refuses = None
    world.obstruct()


def _tick(world: SimulatedWorld, data: st.DataObject) -> None:
    world.now += data.draw(st.floats(0, 100))


def _crash(world: SimulatedWorld, data: st.DataObject) -> None:
    world.round(crash_after=data.draw(st.integers(0, 4)))


def _edit(world: SimulatedWorld, **changes: Any) -> None:
    world.edit(world.facts.spec.model_copy(update=changes))


def _edit_budget(world: SimulatedWorld, **changes: Any) -> None:
    _edit(world, budget=world.facts.spec.budget.model_copy(update=changes))


def _refuse(world: SimulatedWorld, data: st.DataObject) -> None:
    world.refuses = data.draw(CAUSES)


def _queue(world: SimulatedWorld, data: st.DataObject) -> None:
    world.accepted_as = data.draw(st.sampled_from([Phase.PENDING, Phase.RUNNING]))


def _report(world: SimulatedWorld, number: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, 5))
    if world.facts.spec.validation is not None:
        step += data.draw(st.integers(0, world.facts.spec.validation.folds - 1)) * STEPS_PER_FOLD
    world.report(number, step, data.draw(st.floats(allow_nan=True)))


def _place(world: SimulatedWorld, number: int, _data: st.DataObject) -> None:
    seen = world.facts.trial(number).last.observed
    if seen is not None and seen.phase is Phase.PENDING:
        world.place(number)


_TO_THE_STUDY: Final[Mapping[str, Callable[[SimulatedWorld, st.DataObject], None]]] = {
    "tick": _tick,
    "crash": _crash,
    "suspend": lambda world, _: _edit(world, suspend=True),
    "resume": lambda world, _: _edit(world, suspend=False),
    "parallelism": lambda world, data: _edit_budget(world, parallelism=data.draw(st.integers(1, 8))),
    "maxTrials": lambda world, data: _edit_budget(world, max_trials=data.draw(st.integers(1, 8))),
    "obstruct": lambda world, data: world.obstruct(data.draw(CAUSES)),
    "refuse": _refuse,
    "clear": lambda world, _: clear(world),
    "share": lambda world, data: world.leave_room(data.draw(st.one_of(st.none(), st.integers(0, 6)))),
    "queue": _queue,
}

_TO_AN_ATTEMPT: Final[Mapping[str, Callable[[SimulatedWorld, int, st.DataObject], None]]] = {
    "end": lambda world, number, data: world.end(number, data.draw(ENDS), value=data.draw(VALUES)),
    "vanish": lambda world, number, _: world.vanish(number),
    "post": lambda world, number, data: world.post(number, data.draw(st.floats(allow_nan=True))),
    "report": _report,
    "configuration": lambda world, number, _: world.end(number, Outcome.CONFIGURATION),
    "hold up": lambda world, number, _: world.hold_up(number),
    "go on": lambda world, number, _: world.hold_up(number, held_up=False),
    "place": _place,
}

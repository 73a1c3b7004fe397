"""What holds for every study and every sequence of outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.study import StudySpec
from tuning_operator.engine.facts import Outcome, Role, Trial, TrialState

ENDS = st.sampled_from(
    [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INFEASIBLE, Outcome.DISRUPTED, Outcome.PRUNED]
)
VALUES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1))


@st.composite
def specs(draw: st.DrawFn) -> StudySpec:
    budget: dict[str, Any] = {"maxTrials": draw(st.integers(1, 8)), "parallelism": draw(st.integers(1, 5))}
    if draw(st.booleans()):
        budget["maxFailedTrials"] = draw(st.integers(0, 4))
    if draw(st.booleans()):
        budget["maxDuration"] = draw(st.sampled_from(["30s", "2m", "2h"]))
    trial: dict[str, Any] = {"template": {"spec": {"containers": [{"name": "trainer"}]}}}
    if draw(st.booleans()):
        trial["timeout"] = "20s"
    objective: dict[str, Any] = {"metric": "val_accuracy", "direction": draw(st.sampled_from(["maximize", "minimize"]))}
    if draw(st.booleans()):
        objective["target"] = draw(st.floats(-1, 2))
    return study_spec(
        budget=budget,
        trial=trial,
        objectives=[objective],
        baseline={"repeats": draw(st.integers(0, 3))},
        pruning={"pruner": draw(st.sampled_from(["none", "median"])), "startupTrials": draw(st.integers(1, 3))},
        retry={"failures": draw(st.integers(0, 2))},
        ttlSecondsAfterFinished=draw(st.sampled_from([None, 0, 60])),
    )


def disturb(world: SimulatedWorld, data: st.DataObject) -> None:
    """One thing that may happen at any time."""
    running = world.running()
    kinds = ["tick", "crash", "suspend", "resume", "parallelism", "maxTrials"]
    kinds += ["end", "end", "end", "vanish", "post", "report", "configuration"] if running else []
    kind = data.draw(st.sampled_from(kinds))
    number = data.draw(st.sampled_from([t.number for t in running])) if running else -1
    match kind:
        case "tick":
            world.now += data.draw(st.floats(0, 100))
        case "crash":
            world.round(crash_after=data.draw(st.integers(0, 4)))
        case "suspend" | "resume":
            world.edit(world.facts.spec.model_copy(update={"suspend": kind == "suspend"}))
        case "parallelism" | "maxTrials":
            name = "parallelism" if kind == "parallelism" else "max_trials"
            budget = world.facts.spec.budget.model_copy(update={name: data.draw(st.integers(1, 8))})
            world.edit(world.facts.spec.model_copy(update={"budget": budget}))
        case "end":
            world.end(number, data.draw(ENDS), value=data.draw(VALUES))
        case "vanish":
            world.vanish(number)
        case "post":
            world.post(number, data.draw(st.floats(allow_nan=True)))
        case "report":
            world.report(number, data.draw(st.integers(0, 5)), data.draw(st.floats(allow_nan=True)))
        case "configuration":
            world.end(number, Outcome.CONFIGURATION)


@settings(max_examples=300, deadline=None)
@given(spec=specs(), data=st.data())
def test_whatever_happens_counts_are_exact_and_every_study_ends(spec: StudySpec, data: st.DataObject) -> None:
    world = SimulatedWorld(spec=spec, space_size=data.draw(st.sampled_from([1, 3, 10**9])))
    for _ in range(data.draw(st.integers(0, 25))):
        disturb(world, data)
        if data.draw(st.booleans()):
            world.round()
    world.edit(world.facts.spec.model_copy(update={"suspend": False}))  # resumed, and mended if it was stalled

    def fair(_trial: Trial) -> tuple[Outcome, float | None]:
        return data.draw(ENDS), data.draw(VALUES)

    attempts = world.run_to_end(fair)

    facts = world.facts
    assert facts.verdict is not None, "alive: every study ends"
    assert not facts.unfinished
    assert facts.finished_at is not None
    search = facts.of(Role.SEARCH)
    if facts.verdict.reason == "MaxTrialsReached":
        assert len(search) >= world.max_trials_at_verdict
        assert not any(trial.reason == "StudyEnded" for trial in search)
    per_trial = 1 + spec.retry.failures + 5 * 6  # every run of fruitless disruptions, once per report step
    assert attempts <= per_trial * (world.most_trials + spec.baseline.repeats)


@settings(max_examples=200, deadline=None)
@given(spec=specs(), data=st.data())
def test_with_its_actions_carried_out_it_decides_nothing(spec: StudySpec, data: st.DataObject) -> None:
    world = SimulatedWorld(spec=spec)
    for _ in range(data.draw(st.integers(0, 15))):
        disturb(world, data)
        world.settle()
        assert world.decide() == ()


@settings(max_examples=200, deadline=None)
@given(spec=specs(), ends=st.lists(st.tuples(ENDS, VALUES), min_size=1, max_size=30))
def test_exactly_max_trials_for_every_sequence_of_outcomes(spec: StudySpec, ends: list[tuple[Outcome, float | None]]) -> None:
    budget = spec.budget.model_copy(update={"max_failed_trials": None, "max_duration": None})
    objective = spec.objective.model_copy(update={"target": None})
    spec = spec.model_copy(
        update={"budget": budget, "objectives": (objective,), "baseline": spec.baseline.model_copy(update={"repeats": 0})}
    )
    world = SimulatedWorld(spec=spec)
    sequence = iter(ends * 100)
    world.run_to_end(lambda _trial: next(sequence, (Outcome.SUCCEEDED, 0.5)))
    search = world.facts.of(Role.SEARCH)
    assert len(search) == budget.max_trials
    assert all(trial.finished for trial in search)


@settings(max_examples=100, deadline=None)
@given(spec=specs(), data=st.data())
def test_finished_trials_never_change_again(spec: StudySpec, data: st.DataObject) -> None:
    world = SimulatedWorld(spec=spec)
    told: dict[int, tuple[TrialState, float | None, int]] = {}
    for _ in range(data.draw(st.integers(1, 25))):
        disturb(world, data)
        world.round()
        for number, before in told.items():
            trial = world.facts.trial(number)
            assert repr((trial.state, trial.value, len(trial.attempts))) == repr(before)
        told = {t.number: (t.state, t.value, len(t.attempts)) for t in world.facts.trials if t.finished}


def test_deciding_depends_on_nothing_but_the_facts_and_the_time() -> None:
    world = SimulatedWorld(spec=study_spec())
    copy = replace(world.facts)
    assert world.decide() == SimulatedWorld(spec=study_spec()).decide()
    assert copy == world.facts

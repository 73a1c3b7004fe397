"""What holds for every study and every sequence of outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.disturbances import ENDS, VALUES, clear, disturb, specs
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.stopping import Stopping
from tuning_operator.api.study import Baseline, StudySpec
from tuning_operator.engine.deadlines import next_deadline
from tuning_operator.engine.decide import decide
from tuning_operator.engine.facts import Outcome, Role, Trial, TrialState
from tuning_operator.engine.final_evaluation import runs

MILLISECOND: Final = 1e-3  # what rounding may move a deadline by is far less


@settings(max_examples=300, deadline=None)
@given(spec=specs(), data=st.data())
def test_whatever_happens_counts_are_exact_and_every_study_ends(spec: StudySpec, data: st.DataObject) -> None:
    world = SimulatedWorld(spec=spec, space_size=data.draw(st.sampled_from([1, 3, 10**9])))
    for _ in range(data.draw(st.integers(0, 25))):
        disturb(world, data)
        if data.draw(st.booleans()):
            world.round()
    world.edit(world.facts.spec.model_copy(update={"suspend": False}))  # resumed, and mended if it was stalled
    clear(world)
    world.leave_room(data.draw(st.sampled_from([None, 1])))

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
    assert len(facts.of(Role.CONFIRM)) == (0 if facts.search_end is None or facts.deleted else spec.confirmation.repeats)
    assert len(facts.of(Role.FINAL)) == (0 if facts.search_end is None or facts.deleted else runs(spec))
    assert len({tuple(trial.parameters.items()) for trial in facts.of(Role.CONFIRM)}) <= 1, "all of one winner"
    assert len({trial.seed for trial in facts.trials}) == len(facts.trials), "with seeds that nobody used"
    per_trial = 1 + spec.retry.failures + 5 * 6  # every run of fruitless disruptions, once per report step
    assert attempts <= per_trial * (world.most_trials + spec.baseline.repeats + spec.confirmation.repeats + runs(spec))


@settings(max_examples=200, deadline=None)
@given(spec=specs(), data=st.data())
def test_with_its_actions_carried_out_it_decides_nothing(spec: StudySpec, data: st.DataObject) -> None:
    world = SimulatedWorld(spec=spec)
    for _ in range(data.draw(st.integers(0, 15))):
        disturb(world, data)
        world.settle()
        assert world.refuses or world.decide() == ()


@settings(max_examples=300, deadline=None)
@given(spec=specs(), data=st.data())
def test_nothing_is_decided_before_the_next_deadline_and_something_at_it(spec: StudySpec, data: st.DataObject) -> None:
    world = SimulatedWorld(spec=spec, now=1_795_000_000.25)
    for _ in range(data.draw(st.integers(0, 15))):
        disturb(world, data)
        world.settle()
        if world.decide():
            continue  # what is refused is tried again by itself, whatever the time
        deadline = next_deadline(world.facts, world.now)
        last = world.now + 1e9 if deadline is None else max(world.now, deadline - MILLISECOND)
        for moment in (data.draw(st.floats(world.now, last)), last):
            assert decide(world.facts, moment) == ()
        if deadline is not None:
            assert decide(world.facts, max(world.now, deadline) + MILLISECOND)


@settings(max_examples=200, deadline=None)
@given(spec=specs(), ends=st.lists(st.tuples(ENDS, VALUES), min_size=1, max_size=30))
def test_exactly_max_trials_for_every_sequence_of_outcomes(spec: StudySpec, ends: list[tuple[Outcome, float | None]]) -> None:
    budget = spec.budget.model_copy(update={"max_failed_trials": None, "max_duration": None, "max_gpu_hours": None})
    objective = spec.objective.model_copy(update={"target": None})
    without = {"final_evaluation": None, "baseline": Baseline(repeats=0), "stopping": Stopping()}
    spec = spec.model_copy(update={"budget": budget, "objectives": (objective,), **without})
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

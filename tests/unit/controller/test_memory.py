"""A study in memory: what is stored, joined with what is seen, and reports that the database has yet to get."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version

import pytest
from tests.support.stored_studies import AT, BEGAN_AT, SPEC_JSON, fresh_trial

from tuning_operator.controller.memory import StudyMemory
from tuning_operator.engine.facts import Attempt, Observation, Phase, StopReason, Trial, TrialState, Verdict
from tuning_operator.runtime.protocol import AttemptKey
from tuning_operator.search.libraries import library_versions
from tuning_operator.store.records import StoredStudy

RUNNING = Observation(phase=Phase.RUNNING, started_at=AT + 5)
SECOND = Attempt(number=1, generation=1, claimed_at=AT + 60)
VERDICT = Verdict(succeeded=True, reason="MaxTrialsReached", message="2 of 2 trials", at=AT + 90)


def stored(*trials: Trial, verdict: Verdict | None = None, exhausted: bool = False) -> StoredStudy:
    return StoredStudy(spec_json=SPEC_JSON, began_at=BEGAN_AT, choice=None, verdict=verdict, trials=trials, exhausted=exhausted)


def test_it_begins_with_what_is_stored() -> None:
    memory = StudyMemory(stored(fresh_trial(0), verdict=VERDICT, exhausted=True))
    assert (memory.trials, memory.began_at, memory.verdict, memory.exhausted) == ([fresh_trial(0)], BEGAN_AT, VERDICT, True)


def test_a_reload_takes_what_is_stored_for_the_truth() -> None:
    memory = StudyMemory(stored(fresh_trial(0)))
    memory.change(0, 0, started_at=AT + 1, stop_reason=StopReason.TIMEOUT)
    memory.trials.append(fresh_trial(1))
    memory.exhausted = True
    memory.reload(stored(fresh_trial(0)))
    assert (memory.trials, memory.exhausted) == ([fresh_trial(0)], False)


def test_reports_that_the_database_has_yet_to_get_outlive_a_reload_and_stored_ones_stand() -> None:
    memory = StudyMemory(stored(fresh_trial(0), fresh_trial(1)))
    memory.add_reports(0, {1: 0.1, 2: 0.2})
    memory.reload(stored(replace(fresh_trial(0), reports={1: 0.15}), fresh_trial(1), fresh_trial(2)))
    assert [dict(trial.reports) for trial in memory.trials] == [{1: 0.15, 2: 0.2}, {}, {}]


def test_a_finished_trial_has_the_reports_that_are_stored() -> None:
    memory = StudyMemory(stored(fresh_trial(0)))
    memory.add_reports(0, {1: 0.1, 2: 0.2})
    told = replace(fresh_trial(0), state=TrialState.COMPLETE, value=0.5, reports={1: 0.1})
    memory.reload(stored(told))
    assert memory.trials == [told]


def test_the_first_report_of_a_step_stays() -> None:
    memory = StudyMemory(stored(fresh_trial(0)))
    memory.add_reports(0, {1: 0.1})
    memory.add_reports(0, {1: 0.9, 2: 0.2})
    assert memory.trials[0].reports == {1: 0.1, 2: 0.2}


def test_reports_keep_the_order_in_which_they_came() -> None:
    memory = StudyMemory(stored(replace(fresh_trial(0), reports={1: 0.1}, arrivals={1: 70}), fresh_trial(1)))
    memory.add_reports(1, {1: 0.1})
    memory.add_reports(0, {1: 0.9, 2: 0.2})
    memory.add_reports(1, {2: 0.2})
    assert in_order(memory) == [(0, 1), (1, 1), (0, 2), (1, 2)]


def test_what_the_database_has_yet_to_get_came_after_what_it_has() -> None:
    memory = StudyMemory(stored(fresh_trial(0), fresh_trial(1)))
    for trial, step in [(1, 1), (0, 1), (1, 2), (0, 2)]:
        memory.add_reports(trial, {step: 0.5})
    first = replace(fresh_trial(0), reports={1: 0.5}, arrivals={1: 902})
    memory.reload(stored(first, replace(fresh_trial(1), reports={1: 0.5}, arrivals={1: 901})))
    memory.add_reports(1, {3: 0.5})
    assert in_order(memory) == [(1, 1), (0, 1), (1, 2), (0, 2), (1, 3)]


def in_order(memory: StudyMemory) -> list[tuple[int, int]]:
    """(trial, step) of all reports."""
    came = [(place, trial.number, step) for trial in memory.trials for step, place in trial.arrivals.items()]
    return [(number, step) for _, number, step in sorted(came)]


def test_what_a_runtime_sees_is_joined_and_not_remembered() -> None:
    memory = StudyMemory(stored(fresh_trial(0).with_attempt(SECOND), fresh_trial(1)))
    ended = replace(RUNNING, released=True)
    first, second = memory.seen({AttemptKey(0, 0): ended, AttemptKey(0, 1): RUNNING})
    assert [attempt.observed for attempt in first.attempts] == [ended, RUNNING]
    assert second == fresh_trial(1)
    assert memory.trials[0].last.observed is None


def test_what_is_seen_again_is_joined_anew_only_where_it_has_changed() -> None:
    memory = StudyMemory(stored(fresh_trial(0), fresh_trial(1), fresh_trial(2)))
    places = [AttemptKey(trial, 0) for trial in range(3)]
    pending, running = Observation(phase=Phase.PENDING), Observation(phase=Phase.RUNNING, started_at=1.0)
    first = memory.seen(dict.fromkeys(places, pending))
    memory.add_reports(2, {1: 0.5})
    second = memory.seen({places[0]: pending, places[1]: running, places[2]: pending})
    assert second[0] is first[0]
    assert second[1].last.observed is running
    assert (second[2].reports, second[2].last.observed) == ({1: 0.5}, pending)
    assert memory.seen({})[0].last.observed is None


@pytest.mark.parametrize("key", [AttemptKey(1, 0), AttemptKey(0, 1), AttemptKey(7, 7)])
def test_what_a_runtime_sees_of_others_is_left_out(key: AttemptKey) -> None:
    memory = StudyMemory(stored(fresh_trial(0)))
    assert memory.seen({key: RUNNING}) == (fresh_trial(0),)


@pytest.mark.parametrize(
    ("trial", "attempt", "known"), [(0, 0, True), (0, 1, True), (0, 2, False), (1, 0, False), (-1, 0, False), (0, -1, False)]
)
def test_an_attempt_is_found_by_its_numbers(trial: int, attempt: int, *, known: bool) -> None:
    memory = StudyMemory(stored(fresh_trial(0).with_attempt(SECOND)))
    found = memory.attempt(trial, attempt)
    assert found == ((memory.trials[trial], memory.trials[trial].attempts[attempt]) if known else None)


def test_an_attempt_is_changed_in_its_place() -> None:
    memory = StudyMemory(stored(fresh_trial(0), fresh_trial(1)))
    memory.put(0, SECOND)
    memory.change(0, 0, started_at=AT + 1)
    assert [attempt.started_at for attempt in memory.trials[0].attempts] == [AT + 1, None]
    assert memory.trials[1] == fresh_trial(1)


def test_the_versions_on_which_a_suggestion_depends_can_be_written_into_the_log() -> None:
    versions = library_versions()
    assert versions["optuna"] == version("optuna")
    assert json.loads(json.dumps(versions)) == versions

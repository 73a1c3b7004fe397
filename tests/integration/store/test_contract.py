"""What the store promises, on SQLite and PostgreSQL alike. After every case stock Optuna loads the study and agrees."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from tests.support.stored_studies import (
    ADAM,
    AT,
    BEGAN_AT,
    IDENTITY,
    SGD,
    SPACE,
    SPEC_JSON,
    assert_stock_optuna_agrees,
    comparable,
    complete,
    disrupted,
    fresh_trial,
    succeeded,
)

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import (
    Attempt,
    Ended,
    Outcome,
    Role,
    SamplerChoice,
    StopReason,
    TrialState,
    Verdict,
)
from tuning_operator.store import (
    ConflictError,
    Database,
    Event,
    EventKind,
    FencedError,
    Ledger,
    ReportedPoint,
    StoredStudy,
)

VERDICT = Verdict(succeeded=True, reason="MaxTrialsReached", message="4 of 4 trials", at=AT + 90)
FAILED = Tell(state=TrialState.FAIL, value=None, reason="ExitCode", message="exit code 1")


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return adopt(database)


@pytest.fixture(autouse=True)
def stock_optuna_agrees(url: str) -> Iterator[None]:
    yield
    assert_stock_optuna_agrees(url)


DIAGNOSES = (
    Diagnosis(name="diverged", advice="halve the learning rate \U0001f600", figure=math.inf),
    Diagnosis(name="overfitting", figure=1.5, threshold=1.2),
)


def adopt(database: Database, *, now: float = BEGAN_AT) -> Ledger:
    return database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="maximize", now=now)


def finish(ledger: Ledger, number: int, value: float) -> None:
    ledger.conclude(number, 0, succeeded(value), last_step=-1, gpu_seconds=60.0, tell=complete(value))


# Studies


def test_a_new_study_is_empty(ledger: Ledger) -> None:
    assert ledger.load() == StoredStudy(
        spec_json=SPEC_JSON, began_at=BEGAN_AT, choice=None, verdict=None, trials=(), exhausted=False
    )
    assert ledger.events() == ()


def test_adopting_again_keeps_the_study_and_raises_the_fence(database: Database) -> None:
    first = adopt(database)
    first.claim(fresh_trial(0), SPACE)
    second = database.adopt(IDENTITY, spec_json="{}", direction="maximize", now=BEGAN_AT + 1000)
    assert second.fence == first.fence + 1
    stored = second.load()
    assert (stored.spec_json, stored.began_at) == (SPEC_JSON, BEGAN_AT)
    assert stored.trials == (fresh_trial(0),)


def test_a_re_created_study_of_the_same_name_starts_anew(database: Database, ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    again = database.adopt(replace(IDENTITY, uid="another-uid"), spec_json=SPEC_JSON, direction="maximize", now=AT)
    assert again.load().trials == ()
    again.claim(fresh_trial(0), SPACE)
    assert len(ledger.load().trials) == 1


def test_the_same_uid_in_another_cluster_is_another_study_and_its_name_must_differ(database: Database, ledger: Ledger) -> None:
    elsewhere = replace(IDENTITY, cluster="another-cluster")
    with pytest.raises(ConflictError, match="another study named research/digits/6f1f0d3a"):
        database.adopt(elsewhere, spec_json=SPEC_JSON, direction="maximize", now=AT)
    assert database.find(elsewhere) is None


def test_a_study_cannot_turn_around(database: Database, ledger: Ledger) -> None:
    with pytest.raises(ConflictError, match="stored as maximize, not minimize"):
        database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="minimize", now=AT)
    ledger.claim(fresh_trial(0), SPACE)  # the refused one has not taken the study over


def test_a_study_is_found_and_read_without_taking_it_over(database: Database, ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    summary = database.find(IDENTITY)
    assert summary is not None
    assert (summary.identity, summary.began_at, summary.fence, summary.verdict) == (IDENTITY, BEGAN_AT, ledger.fence, None)
    assert database.studies() == (summary,)
    assert database.read(IDENTITY) == ledger.load()
    assert database.events(IDENTITY) == ledger.events()
    ledger.claim(fresh_trial(1), SPACE)


def test_an_unknown_study_is_none(database: Database) -> None:
    assert database.find(IDENTITY) is None
    assert database.read(IDENTITY) is None
    assert database.events(IDENTITY) == ()
    assert database.studies() == ()


def test_a_study_is_unfinished_until_it_has_ended_and_every_trial_is_told(database: Database, ledger: Ledger) -> None:
    cluster = IDENTITY.cluster
    assert database.unfinished(cluster) == (IDENTITY,)
    ledger.claim(fresh_trial(0), SPACE)
    ledger.claim(fresh_trial(1), SPACE)
    finish(ledger, 0, 0.5)
    assert database.unfinished(cluster) == (IDENTITY,)
    ledger.decide_end(VERDICT)
    assert database.unfinished(cluster) == (IDENTITY,)
    finish(ledger, 1, 0.6)
    assert database.unfinished(cluster) == ()


def test_a_study_whose_trials_are_all_told_is_unfinished_without_a_verdict(database: Database, ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    finish(ledger, 0, 0.5)
    assert database.unfinished(IDENTITY.cluster) == (IDENTITY,)


def test_unfinished_studies_are_those_of_one_cluster_oldest_first(database: Database, ledger: Ledger) -> None:
    second, elsewhere = (
        replace(IDENTITY, uid="second", name="words"),
        replace(IDENTITY, cluster="another", name="speech", uid="third"),
    )
    for identity in (second, elsewhere):
        database.adopt(identity, spec_json=SPEC_JSON, direction="maximize", now=AT)
    assert database.unfinished(IDENTITY.cluster) == (IDENTITY, second)
    ledger.decide_end(VERDICT)
    assert database.unfinished(IDENTITY.cluster) == (second,)
    assert database.unfinished("another") == (elsewhere,)
    assert database.unfinished("unknown") == ()


def test_of_one_study_it_can_be_asked_whether_it_is_unfinished(database: Database, ledger: Ledger) -> None:
    second = replace(IDENTITY, uid="second", name="words")
    database.adopt(second, spec_json=SPEC_JSON, direction="maximize", now=AT)
    assert database.unfinished(IDENTITY.cluster, uid="second") == (second,)
    assert database.unfinished("another", uid="second") == ()
    ledger.decide_end(VERDICT)
    assert database.unfinished(IDENTITY.cluster, uid=IDENTITY.uid) == ()


def test_a_ping_asks_for_nothing(database: Database) -> None:
    database.ping()
    assert database.studies() == ()


def test_what_is_decided_about_a_study_is_kept(database: Database, ledger: Ledger) -> None:
    choice = SamplerChoice(sampler="gp", reason="numeric space, 60 trials")
    ledger.save_spec('{"changed": true}')
    ledger.save_choice(choice)
    ledger.mark_exhausted()
    ledger.decide_end(VERDICT)
    stored = ledger.load()
    assert (stored.spec_json, stored.choice, stored.verdict, stored.exhausted) == ('{"changed": true}', choice, VERDICT, True)
    summary = database.find(IDENTITY)
    assert summary is not None
    assert summary.verdict == VERDICT


def test_a_verdict_is_made_once(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.decide_end(VERDICT)
    with pytest.raises(ConflictError, match="another verdict already"):
        ledger.decide_end(replace(VERDICT, succeeded=False))
    assert ledger.load().verdict == VERDICT


def test_a_search_ends_once(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.end_search(VERDICT)
    with pytest.raises(ConflictError, match="another end of its search already"):
        ledger.end_search(replace(VERDICT, reason="TargetReached"))
    stored = ledger.load()
    assert (stored.search_end, stored.verdict) == (VERDICT, None)


def test_after_the_search_only_what_follows_it_is_claimed(database: Database, ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    finish(ledger, 0, 0.5)
    ledger.end_search(VERDICT)
    with pytest.raises(ConflictError, match="the search has ended"):
        ledger.claim(fresh_trial(1), SPACE)
    ledger.claim(fresh_trial(1, role=Role.CONFIRM), SPACE)
    assert ledger.load().trials[1].role is Role.CONFIRM
    assert database.unfinished(IDENTITY.cluster) == (IDENTITY,)


def test_a_choice_may_be_made_anew_until_the_first_trial(ledger: Ledger) -> None:
    first, second = (
        SamplerChoice(sampler="gp", reason="numeric space"),
        SamplerChoice(sampler="tpe", reason="a category was added"),
    )
    ledger.save_choice(first)
    ledger.save_choice(second)
    assert ledger.load().choice == second
    ledger.claim(fresh_trial(0), SPACE)
    ledger.save_choice(second)
    with pytest.raises(ConflictError, match="another choice already"):
        ledger.save_choice(first)
    assert ledger.load().choice == second


def test_a_choice_that_was_never_made_may_be_made_after_the_first_trial(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    choice = SamplerChoice(sampler="gp", reason="numeric space")
    ledger.save_choice(choice)
    assert ledger.load().choice == choice


def test_a_choice_of_a_former_owner_is_refused(database: Database, ledger: Ledger) -> None:
    adopt(database)
    with pytest.raises(FencedError):
        ledger.save_choice(SamplerChoice(sampler="gp", reason="numeric space"))


def test_nothing_is_claimed_after_the_verdict_but_a_claim_before_it_may_be_repeated(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.conclude(0, 0, disrupted(), last_step=-1, gpu_seconds=0.0, tell=None)
    ledger.decide_end(VERDICT)
    ledger.claim(fresh_trial(0), SPACE)
    with pytest.raises(ConflictError, match="the study has ended"):
        ledger.claim(fresh_trial(1), SPACE)
    with pytest.raises(ConflictError, match="the study has ended"):
        ledger.claim_attempt(0, Attempt(number=1, generation=1, claimed_at=AT))


# Asking


def test_a_claimed_trial_is_loaded_as_it_was(ledger: Ledger) -> None:
    trials = (
        fresh_trial(0, role=Role.BASELINE),
        fresh_trial(1, parameters=SGD),
        fresh_trial(2, sampler_state={"tpe:relative_params": '{"learning_rate": 0.5}', "cmaes:0": '"6f70"'}),
    )
    for trial in trials:
        ledger.claim(trial, SPACE)
    loaded = ledger.load().trials
    assert loaded == trials
    assert [type(value) for value in loaded[1].parameters.values()] == [float, int, int, str, float, float]


def test_a_claim_of_another_trial_under_a_taken_number_is_refused(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    for other in (
        fresh_trial(0, parameters=SGD),
        fresh_trial(0, role=Role.BASELINE),
        fresh_trial(0, at=AT + 1),
        fresh_trial(0, sampler_state={"a": "1"}),
        replace(fresh_trial(0), seed=1),
    ):
        with pytest.raises(ConflictError, match="the next number is 1"):
            ledger.claim(other, SPACE)
    assert ledger.load().trials == (fresh_trial(0),)


def test_a_claim_that_leaves_a_gap_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConflictError, match="the next number is 0"):
        ledger.claim(fresh_trial(1), SPACE)


def test_a_claim_whose_answer_was_lost_is_repeated_without_effect(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.claim(fresh_trial(0), SPACE, detail={"sampler": "tpe"})
    assert ledger.load().trials == (fresh_trial(0),)
    assert len(ledger.events()) == 1


def test_a_claim_is_repeated_without_effect_even_when_the_trial_is_finished(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    finish(ledger, 0, 0.5)
    before = ledger.load()
    ledger.claim(fresh_trial(0), SPACE)
    assert ledger.load() == before


def test_parameters_outside_the_space_are_never_written(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="momentum is missing"):
        ledger.claim(fresh_trial(0, parameters={**ADAM, "optimizer": "sgd"}), SPACE)
    assert ledger.load().trials == ()


def test_threads_that_claim_one_number_agree_on_one_winner(ledger: Ledger) -> None:
    barrier = Barrier(4)

    def claim(worker: int) -> bool:
        barrier.wait()
        try:
            ledger.claim(fresh_trial(0, at=AT + worker), SPACE)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(claim, range(4)))
    assert won.count(True) == 1
    assert ledger.load().trials == (fresh_trial(0, at=AT + won.index(True)),)


def test_threads_that_work_on_one_study_leave_no_gap_in_its_numbers_and_its_log(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    barrier = Barrier(4)

    def report(worker: int) -> None:
        barrier.wait()
        for step in range(10):
            ledger.report([ReportedPoint(trial=0, step=worker * 10 + step, value=float(worker))])

    def ask_and_tell(_worker: int) -> None:
        barrier.wait()
        for number in range(1, 11):
            ledger.claim(fresh_trial(number), SPACE)
            finish(ledger, number, 0.5)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(report, worker) for worker in range(3)] + [pool.submit(ask_and_tell, 3)]
        for job in jobs:
            job.result()
    stored = ledger.load()
    assert [trial.number for trial in stored.trials] == list(range(11))
    assert len(stored.trials[0].reports) == 30
    assert [event.sequence for event in ledger.events()] == list(range(1, 22))


# Attempts


def test_an_attempt_is_recorded_step_by_step(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    assert ledger.mark_started(0, 0, AT + 2)
    assert ledger.post_result(0, 0, {"val_accuracy": 0.9}, pruned=True, diagnoses=DIAGNOSES[1:])
    assert ledger.request_stop(0, 0, StopReason.SUSPENDED)
    [attempt] = ledger.load().trials[0].attempts
    assert attempt == Attempt(
        number=0,
        generation=1,
        claimed_at=AT,
        started_at=AT + 2,
        stop_reason=StopReason.SUSPENDED,
        posted={"val_accuracy": 0.9},
        posted_pruned=True,
        posted_diagnoses=DIAGNOSES[1:],
    )


def test_the_first_record_of_an_attempt_wins_and_its_repetition_is_accepted(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    for at, first in ((AT + 2, True), (AT + 2, True), (AT + 3, False)):
        assert ledger.mark_started(0, 0, at) is first
    for value, first in ((0.9, True), (0.9, True), (0.8, False)):
        assert ledger.post_result(0, 0, {"val_accuracy": value}, pruned=False) is first
    for reason, first in ((StopReason.PRUNED, True), (StopReason.PRUNED, True), (StopReason.TIMEOUT, False)):
        assert ledger.request_stop(0, 0, reason) is first
    [attempt] = ledger.load().trials[0].attempts
    assert (attempt.started_at, attempt.posted, attempt.stop_reason) == (AT + 2, {"val_accuracy": 0.9}, StopReason.PRUNED)


def test_a_result_that_comes_after_the_attempt_was_concluded_is_refused(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.conclude(0, 0, disrupted(), last_step=-1, gpu_seconds=0.0, tell=None)
    assert not ledger.post_result(0, 0, {"val_accuracy": 0.9}, pruned=False)
    assert not ledger.mark_started(0, 0, AT)
    assert not ledger.request_stop(0, 0, StopReason.PRUNED)
    assert ledger.load().trials[0].attempts[0].posted is None


def test_a_posted_result_is_acknowledged_again_after_the_attempt_was_concluded(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    assert ledger.post_result(0, 0, {"val_accuracy": math.nan}, pruned=False)
    finish(ledger, 0, 0.5)
    assert ledger.post_result(0, 0, {"val_accuracy": math.nan}, pruned=False)


def test_a_disrupted_trial_goes_on_with_its_next_attempt(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.conclude(0, 0, disrupted(), last_step=7, gpu_seconds=12.5, tell=None)
    following = Attempt(number=1, generation=2, claimed_at=AT + 70)
    for _ in range(2):
        ledger.claim_attempt(0, following)
    trial = ledger.load().trials[0]
    assert not trial.finished
    assert trial.attempts == (
        Attempt(number=0, generation=1, claimed_at=AT, ended=disrupted(), last_step=7),
        following,
    )
    assert ledger.load().gpu_seconds == {(0, 0): 12.5}


def test_an_attempt_is_not_claimed_out_of_turn(ledger: Ledger) -> None:
    def claim(number: int) -> None:
        ledger.claim_attempt(0, Attempt(number=number, generation=1, claimed_at=AT + 9))

    with pytest.raises(ConflictError, match="has no trial 0"):
        claim(1)
    ledger.claim(fresh_trial(0), SPACE)
    with pytest.raises(ConflictError, match="the trial is running after attempt 0"):
        claim(1)
    ledger.conclude(0, 0, disrupted(), last_step=-1, gpu_seconds=0.0, tell=None)
    for number in (0, 2):
        with pytest.raises(ConflictError, match="the trial is waiting after attempt 0"):
            claim(number)
    ledger.tell(0, FAILED, AT + 80)
    with pytest.raises(ConflictError, match="the trial is finished after attempt 0"):
        claim(1)
    assert len(ledger.load().trials[0].attempts) == 1


@pytest.mark.parametrize(("trial", "attempt"), [(0, 1), (1, 0)], ids=["no such attempt", "no such trial"])
def test_what_was_never_claimed_cannot_be_recorded(ledger: Ledger, trial: int, attempt: int) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    with pytest.raises(ConflictError, match=r"has no (trial|attempt) 1"):
        ledger.mark_started(trial, attempt, AT)
    with pytest.raises(ConflictError, match=r"has no (trial|attempt) 1"):
        ledger.conclude(trial, attempt, succeeded(0.5), last_step=-1, gpu_seconds=0.0, tell=complete(0.5))


# Reports


def test_reports_are_kept_by_step_whatever_their_order_and_value(ledger: Ledger) -> None:
    values = {5: 0.5, 0: 0.1, 3: math.nan, 4: math.inf, 2: -math.inf, 2**31 - 1: 1e-300}
    ledger.claim(fresh_trial(0), SPACE)
    ledger.claim(fresh_trial(1), SPACE)
    ledger.report([ReportedPoint(trial=number, step=step, value=value) for step, value in values.items() for number in (0, 1)])
    for trial in ledger.load().trials:
        assert trial.reports.keys() == values.keys()
        assert all(repr(trial.reports[step]) == repr(value) for step, value in values.items())


def test_the_first_value_of_a_step_wins_within_a_batch_and_between_batches(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    for batch in ([0.1, 0.2], [0.3], [0.1]):
        ledger.report([ReportedPoint(trial=0, step=1, value=value) for value in batch])
    assert ledger.load().trials[0].reports == {1: 0.1}


def test_reports_of_finished_and_of_unknown_trials_are_dropped(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.claim(fresh_trial(1), SPACE)
    finish(ledger, 0, 0.5)
    ledger.report([ReportedPoint(trial=number, step=1, value=0.1) for number in (0, 1, 7)])
    ledger.report([ReportedPoint(trial=7, step=1, value=0.1)])
    ledger.report([])
    assert [trial.reports for trial in ledger.load().trials] == [{}, {1: 0.1}]


def test_the_order_in_which_reports_came_is_known_after_a_restart(ledger: Ledger) -> None:
    for number in range(3):
        ledger.claim(fresh_trial(number), SPACE)
    came = [(2, 5), (0, 9), (1, 1), (0, 2), (2, 6), (1, 3)]
    for batch in (came[:4], came[2:]):
        ledger.report([ReportedPoint(trial=number, step=step, value=0.5) for number, step in batch])
    trials = ledger.load().trials
    places = {(trial.number, step): place for trial in trials for step, place in trial.arrivals.items()}
    assert sorted(places, key=lambda report: places[report]) == came


def test_more_reports_than_one_statement_holds_are_written(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.report([ReportedPoint(trial=0, step=step, value=step / 7) for step in range(2_500)])
    assert ledger.load().trials[0].reports == {step: step / 7 for step in range(2_500)}


# Telling

ENDS: dict[str, tuple[Ended, Tell]] = {
    "complete": (succeeded(0.75), complete(0.75)),
    "complete with an infinite value": (succeeded(math.inf), complete(math.inf)),
    "complete with the other infinity": (succeeded(-math.inf), complete(-math.inf)),
    "pruned with a value": (
        Ended(outcome=Outcome.PRUNED, at=AT + 60, reason="Pruned", pruned=True),
        Tell(state=TrialState.PRUNED, value=0.25, reason="Pruned"),
    ),
    "pruned before any report": (
        Ended(outcome=Outcome.PRUNED, at=AT + 60, reason="Pruned"),
        Tell(state=TrialState.PRUNED, value=None, reason="Pruned"),
    ),
    "failed with a metric that is no number": (
        Ended(outcome=Outcome.INFEASIBLE, at=AT + 60, reason="NotFinite", metrics={"val_accuracy": math.nan}),
        Tell(state=TrialState.FAIL, value=None, reason="NotFinite", message="val_accuracy is nan"),
    ),
    "failed with diagnoses": (
        Ended(outcome=Outcome.INFEASIBLE, at=AT + 60, reason="Diverged", diagnoses=DIAGNOSES),
        Tell(state=TrialState.FAIL, value=None, reason="Diverged", message="halve the learning rate"),
    ),
    "failed with last words that no database likes": (
        Ended(outcome=Outcome.FAILED, at=AT + 60, reason="ExitCode", message="\x00 \udce9 \U0001f600 %s :name"),
        Tell(state=TrialState.FAIL, value=None, reason="ExitCode", message="\x00 \udce9 \U0001f600 %s :name"),
    ),
}


@pytest.mark.parametrize(("ended", "tell"), ENDS.values(), ids=ENDS.keys())
def test_the_end_of_a_trial_is_loaded_as_it_was(ledger: Ledger, ended: Ended, tell: Tell) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.conclude(0, 0, ended, last_step=9, gpu_seconds=60.5, tell=tell)
    expected = replace(
        fresh_trial(0),
        attempts=(Attempt(number=0, generation=1, claimed_at=AT, ended=ended, last_step=9),),
        state=tell.state,
        value=tell.value,
        reason=tell.reason,
        message=tell.message,
        finished_at=ended.at,
        metrics=ended.metrics,
        diagnoses=ended.diagnoses,
    )
    stored = ledger.load()
    assert comparable(stored) == comparable(replace(stored, trials=(expected,)))
    assert stored.gpu_seconds == {(0, 0): 60.5}


@pytest.mark.parametrize(("ended", "tell"), ENDS.values(), ids=ENDS.keys())
def test_a_tell_whose_answer_was_lost_is_repeated_without_effect(ledger: Ledger, ended: Ended, tell: Tell) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.conclude(0, 0, ended, last_step=9, gpu_seconds=60.5, tell=tell)
    before = comparable(ledger.load()), ledger.events()
    ledger.conclude(0, 0, ended, last_step=9, gpu_seconds=60.5, tell=tell)
    ledger.tell(0, tell, ended.at)
    assert (comparable(ledger.load()), ledger.events()) == before


def test_a_finished_trial_is_never_told_something_else(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    finish(ledger, 0, 0.5)
    before = ledger.load()
    with pytest.raises(ConflictError, match="concluded otherwise"):
        ledger.conclude(0, 0, succeeded(0.6), last_step=-1, gpu_seconds=60.0, tell=complete(0.6))
    with pytest.raises(ConflictError, match="finished otherwise already: complete"):
        ledger.conclude(0, 0, succeeded(0.5), last_step=-1, gpu_seconds=60.0, tell=complete(0.6))
    with pytest.raises(ConflictError, match="finished otherwise already: complete"):
        ledger.tell(0, FAILED, AT + 60)
    assert ledger.load() == before


def test_a_waiting_trial_is_told_without_an_attempt_to_conclude(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    with pytest.raises(ConflictError, match="its attempt 0 has not ended"):
        ledger.tell(0, FAILED, AT + 80)
    ended = replace(disrupted(), metrics={"val_loss": 2.0})
    ledger.conclude(0, 0, ended, last_step=-1, gpu_seconds=0.0, tell=None)
    for _ in range(2):
        ledger.tell(0, FAILED, AT + 80)
    trial = ledger.load().trials[0]
    assert (trial.state, trial.finished_at, trial.metrics) == (TrialState.FAIL, AT + 80, {"val_loss": 2.0})


def test_only_the_newest_attempt_finishes_its_trial(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    ledger.conclude(0, 0, disrupted(), last_step=-1, gpu_seconds=0.0, tell=None)
    ledger.claim_attempt(0, Attempt(number=1, generation=1, claimed_at=AT + 70))
    with pytest.raises(ConflictError, match="it has a newer one"):
        ledger.conclude(0, 0, disrupted(), last_step=-1, gpu_seconds=0.0, tell=FAILED)
    assert not ledger.load().trials[0].finished


@pytest.mark.parametrize(
    ("state", "value"),
    [
        (TrialState.COMPLETE, None),
        (TrialState.COMPLETE, math.nan),
        (TrialState.PRUNED, math.nan),
        (TrialState.FAIL, 0.5),
        (TrialState.RUNNING, None),
    ],
)
def test_a_tell_that_optuna_would_refuse_is_refused(ledger: Ledger, state: TrialState, value: float | None) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    with pytest.raises(ValueError, match=f"cannot be told {state}"):
        ledger.conclude(0, 0, succeeded(0.5), last_step=-1, gpu_seconds=0.0, tell=Tell(state=state, value=value, reason="X"))
    assert ledger.load().trials == (fresh_trial(0),)


# The log


def test_the_log_tells_asks_and_tells_in_the_order_of_their_commits(ledger: Ledger) -> None:
    detail: dict[str, Any] = {"sampler": "tpe", "versions": {"optuna": "5.0.0"}, "known": 0}
    ledger.claim(fresh_trial(0), SPACE, detail=detail)
    ledger.claim(fresh_trial(1), SPACE)
    finish(ledger, 1, 0.5)
    ledger.conclude(0, 0, disrupted(), last_step=-1, gpu_seconds=0.0, tell=FAILED)
    assert ledger.events() == (
        Event(sequence=1, kind=EventKind.ASK, trial=0, at=AT, detail=detail),
        Event(sequence=2, kind=EventKind.ASK, trial=1, at=AT, detail={}),
        Event(
            sequence=3,
            kind=EventKind.TELL,
            trial=1,
            at=AT + 60,
            detail={"state": "complete", "value": 0.5, "reason": "Completed"},
        ),
        Event(
            sequence=4, kind=EventKind.TELL, trial=0, at=AT + 60, detail={"state": "fail", "value": None, "reason": "ExitCode"}
        ),
    )


def test_a_refused_write_leaves_no_gap_in_the_log(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    with pytest.raises(ConflictError):
        ledger.claim(fresh_trial(5), SPACE)
    finish(ledger, 0, 0.5)
    assert [event.sequence for event in ledger.events()] == [1, 2]


# Several writes in one transaction


def test_writes_together_are_all_done(ledger: Ledger) -> None:
    with ledger.together() as writes:
        for number in range(3):
            writes.claim(fresh_trial(number), SPACE)
        writes.mark_started(0, 0, AT + 2)
        finish(writes, 0, 0.5)
    stored = ledger.load()
    assert [trial.state for trial in stored.trials] == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.RUNNING]
    assert stored.trials[0].last.started_at == AT + 2
    assert [(event.sequence, event.kind, event.trial) for event in ledger.events()] == [
        (1, EventKind.ASK, 0),
        (2, EventKind.ASK, 1),
        (3, EventKind.ASK, 2),
        (4, EventKind.TELL, 0),
    ]


def test_of_writes_together_one_that_is_refused_undoes_all(ledger: Ledger) -> None:
    ledger.claim(fresh_trial(0), SPACE)
    before = ledger.load(), ledger.events()

    def write() -> None:
        with ledger.together() as writes:
            finish(writes, 0, 0.5)
            writes.claim(fresh_trial(1), SPACE)
            writes.claim(fresh_trial(3), SPACE)

    with pytest.raises(ConflictError, match="the next number is 2"):
        write()
    assert (ledger.load(), ledger.events()) == before


def test_writes_together_whose_answer_was_lost_are_repeated_without_effect(ledger: Ledger) -> None:
    seen = []
    for _ in range(2):
        with ledger.together() as writes:
            writes.claim(fresh_trial(0), SPACE)
            writes.claim(fresh_trial(1), SPACE)
            finish(writes, 0, 0.5)
        seen.append((ledger.load(), ledger.events()))
    assert seen[0] == seen[1]


def test_a_former_owner_writes_nothing_together(database: Database) -> None:
    former = adopt(database)
    owner = adopt(database)
    with pytest.raises(FencedError), former.together():
        pytest.fail("it must not get as far as writing")
    assert owner.load().trials == ()


# Fencing

WRITES: dict[str, Callable[[Ledger], object]] = {
    "claim": lambda ledger: ledger.claim(fresh_trial(1), SPACE),
    "repeated claim": lambda ledger: ledger.claim(fresh_trial(0), SPACE),
    "claim_attempt": lambda ledger: ledger.claim_attempt(0, Attempt(number=1, generation=1, claimed_at=AT)),
    "mark_started": lambda ledger: ledger.mark_started(0, 0, AT),
    "request_stop": lambda ledger: ledger.request_stop(0, 0, StopReason.PRUNED),
    "post_result": lambda ledger: ledger.post_result(0, 0, {"val_accuracy": 1.0}, pruned=False),
    "report": lambda ledger: ledger.report([ReportedPoint(trial=0, step=0, value=1.0)]),
    "conclude": lambda ledger: ledger.conclude(0, 0, succeeded(0.5), last_step=-1, gpu_seconds=0.0, tell=complete(0.5)),
    "tell": lambda ledger: ledger.tell(0, FAILED, AT),
    "save_spec": lambda ledger: ledger.save_spec("{}"),
    "save_choice": lambda ledger: ledger.save_choice(SamplerChoice(sampler="gp", reason="")),
    "end_search": lambda ledger: ledger.end_search(VERDICT),
    "decide_end": lambda ledger: ledger.decide_end(VERDICT),
    "mark_exhausted": lambda ledger: ledger.mark_exhausted(),
}


def test_a_former_owner_writes_nothing(database: Database) -> None:
    former = adopt(database)
    former.claim(fresh_trial(0), SPACE)
    owner = adopt(database)
    before = owner.load(), owner.events()
    refused = []
    for name, write in WRITES.items():
        with suppress(FencedError):
            write(former)
            continue
        refused.append(name)
    assert refused == list(WRITES)
    assert (owner.load(), owner.events()) == before


def test_a_former_owner_does_not_read_what_it_may_not_act_on(database: Database) -> None:
    former = adopt(database)
    adopt(database)
    with pytest.raises(FencedError):
        former.load()


def test_of_owners_that_adopt_at_once_the_last_one_writes(database: Database) -> None:
    barrier = Barrier(4)

    def take(_worker: int) -> Ledger:
        barrier.wait()
        return adopt(database)

    with ThreadPoolExecutor(4) as pool:
        ledgers = sorted(pool.map(take, range(4)), key=lambda ledger: ledger.fence)
    assert [ledger.fence for ledger in ledgers] == [1, 2, 3, 4]
    for former in ledgers[:-1]:
        with pytest.raises(FencedError):
            former.claim(fresh_trial(0), SPACE)
    ledgers[-1].claim(fresh_trial(0), SPACE)

"""Each policy, told in sentences; and each sentence fails when its policy is taken out of the chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from tests.support.simulated_studies import NO_SECRET
from tests.support.simulated_world import SimulatedWorld, completed, newest
from tests.support.studies import study_spec

from tuning_operator.engine import summary
from tuning_operator.engine.actions import ExpireStudy, ReleaseAttempt, StartAttempt, StopAttempt
from tuning_operator.engine.decide import POLICIES, Policy
from tuning_operator.engine.facts import SPEC_CHANGED, Outcome, Phase, Role, StopReason, TrialState
from tuning_operator.engine.policies import (
    baseline,
    conclude,
    confirm,
    expiry,
    final,
    mend,
    pruning,
    release,
    resume,
    search,
    start,
    stop,
    timeout,
    verdict,
)
from tuning_operator.engine.status import project

Build = Callable[..., SimulatedWorld]

TIMED: Final = {"timeout": "1m", "template": {"spec": {"containers": [{"name": "t"}]}}}


@dataclass(frozen=True)
class Scenario:
    """A sentence about the operator, the policy it rests on, and the story that shows it."""

    sentence: str
    policy: Policy
    story: Callable[[Build], None]


def _ends_are_recorded(world: Build) -> None:
    w = world()
    w.settle()
    w.end(0, Outcome.SUCCEEDED, value=0.9)
    w.settle()
    trial = w.facts.trial(0)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.9)


def _vanished_attempt_is_disrupted(world: Build) -> None:
    w = world()
    w.settle()
    w.vanish(0)
    w.settle()
    trial = w.facts.trial(0)
    assert [a.ended.reason if a.ended else None for a in trial.attempts] == ["Vanished", None]
    assert not trial.finished


def _recorded_attempts_are_released(world: Build) -> None:
    w = world()
    w.settle()
    w.end(0, Outcome.SUCCEEDED)
    w.settle()
    assert ReleaseAttempt(trial=0, attempt=0) in w.done


def _ends_after_max_trials(world: Build) -> None:
    w = world(budget={"maxTrials": 3, "parallelism": 2})
    w.run_to_end(lambda t: (Outcome.SUCCEEDED, t.number / 10))
    assert w.facts.verdict is not None
    assert w.facts.verdict.reason == "MaxTrialsReached"
    assert "best val_accuracy 0.2 in trial 2" in w.facts.verdict.message


def _stops_others_at_the_end(world: Build) -> None:
    w = world(objectives=[{"metric": "val_accuracy", "direction": "maximize", "target": 0.9}])
    w.settle()
    w.end(0, Outcome.SUCCEEDED, value=0.95)
    w.settle()
    assert StopAttempt(trial=1, attempt=0, reason=StopReason.STUDY_ENDED) in w.done
    w.end(1, Outcome.DISRUPTED)
    w.settle()
    assert w.facts.trial(1).reason == "StudyEnded"
    assert project(w.facts, w.now).trials.stopped == 1


def _suspended_stops_and_resumes_the_same_trials(world: Build) -> None:
    w = world()
    w.settle()
    w.edit(study_spec(suspend=True))
    w.settle()
    assert StopAttempt(trial=0, attempt=0, reason=StopReason.SUSPENDED) in w.done
    for number in (0, 1):
        w.end(number, Outcome.DISRUPTED)
    w.settle()
    assert not w.running()
    w.edit(study_spec())
    w.settle()
    assert [t.number for t in w.running()] == [0, 1]
    assert newest(w, 0).number == 1


def _ends_when_deleted(world: Build) -> None:
    w = world(ttlSecondsAfterFinished=0)
    w.settle()
    w.end(0, Outcome.SUCCEEDED)
    w.settle()
    w.delete()
    w.settle()
    assert StopAttempt(trial=1, attempt=0, reason=StopReason.STUDY_ENDED) in w.done
    for trial in w.running():
        w.end(trial.number, Outcome.DISRUPTED)
    w.settle()
    assert w.facts.verdict is not None
    assert (w.facts.verdict.reason, w.facts.verdict.succeeded) == ("Deleted", False)
    assert w.facts.finished_at is not None
    assert ExpireStudy() not in w.done, "it is gone already"


def _starts_anew_under_a_mended_spec(world: Build) -> None:
    w = world()
    w.settle()
    w.hold_up(0)
    w.obstruct(NO_SECRET)
    w.edit(study_spec())
    w.settle()
    assert newest(w, 0).stop_reason is StopReason.SPEC_CHANGED
    assert newest(w, 1).stop_reason is None, "what runs is left alone"
    w.vanish(0)
    w.settle()
    w.obstruct()
    w.settle()
    first, second = w.facts.trial(0).attempts
    assert first.ended is not None
    assert (first.ended.outcome, first.ended.reason) == (Outcome.DISRUPTED, SPEC_CHANGED)
    assert (second.number, second.generation, second.observed is not None) == (1, 2, True)
    counts = project(w.facts, w.now).trials
    assert (counts.failed, counts.disrupted) == (0, 0)


def _tries_again_what_was_refused(world: Build) -> None:
    w = world(budget={"maxTrials": 40, "parallelism": 20})
    w.refuses = NO_SECRET
    w.settle()
    claimed = [(number, None) for number in range(search.HANDFUL)]
    assert [(t.number, t.last.started_at) for t in w.facts.trials] == claimed, "the first handful"
    w.round()
    assert len(w.facts.trials) == search.HANDFUL, "nothing further is claimed"
    assert w.done[-1] == StartAttempt(trial=0, attempt=0), "asked at every look"
    w.refuses = None
    w.round()
    w.obstruct()
    w.settle()
    assert w.starts == [(number, 0) for number in range(20)]


def _an_attempt_over_its_limit_is_stopped(world: Build) -> None:
    w = world(trial=TIMED)
    w.settle()
    w.now += 61
    w.settle()
    assert newest(w, 0).stop_reason is StopReason.TIMEOUT
    w.end(0, Outcome.FAILED)
    w.settle()
    trial = w.facts.trial(0)
    assert (trial.state, trial.reason) == (TrialState.FAIL, "TimedOut"), "a time limit is not retried"


def _starts_what_a_crash_left_claimed(world: Build) -> None:
    w = world(budget={"maxTrials": 1})
    w.round(crash_after=0)
    assert newest(w, 0).started_at is None
    w.settle()
    assert w.starts == [(0, 0)]


def _a_failed_trial_runs_again(world: Build) -> None:
    w = world(budget={"maxTrials": 1}, retry={"failures": 1})
    w.settle()
    w.end(0, Outcome.FAILED)
    w.settle()
    assert [t.last.number for t in w.running()] == [1]


def _baseline_first(world: Build) -> None:
    w = world(baseline={"repeats": 2}, budget={"maxTrials": 2, "parallelism": 4})
    w.settle()
    assert [t.role for t in w.running()] == [Role.BASELINE, Role.BASELINE]
    assert w.facts.trial(0).seed != w.facts.trial(1).seed
    w.end(0, Outcome.SUCCEEDED, value=0.5)
    w.settle()
    assert not w.facts.of(Role.SEARCH), "no search trial before the baseline is known"
    w.end(1, Outcome.SUCCEEDED, value=0.7)
    w.settle()
    assert len(w.facts.of(Role.SEARCH)) == 2


def _fills_free_slots(world: Build) -> None:
    w = world(budget={"maxTrials": 10, "parallelism": 3})
    w.settle()
    assert len(w.running()) == 3
    w.end(1, Outcome.SUCCEEDED)
    w.settle()
    assert [t.number for t in w.running()] == [0, 2, 3]


def _expires(world: Build) -> None:
    w = world(budget={"maxTrials": 1}, ttlSecondsAfterFinished=60)
    w.run_to_end(lambda _: (Outcome.SUCCEEDED, 0.5))
    assert ExpireStudy() not in w.done
    w.now += 61
    w.settle()
    assert ExpireStudy() in w.done


def _prunes(world: Build) -> None:
    w = world(budget={"maxTrials": 5, "parallelism": 1}, pruning={"pruner": "median", "startupTrials": 2, "warmupSteps": 1})
    for number in (0, 1):
        w.settle()
        for step in (0, 1):
            w.report(number, step, 0.5 + number / 10)
        w.end(number, Outcome.SUCCEEDED)
    w.settle()
    w.report(2, 0, 0.1)
    w.settle()
    assert newest(w, 2).stop_reason is None, "not before its warm-up is over"
    w.report(2, 1, 0.54)
    w.settle()
    assert newest(w, 2).stop_reason is StopReason.PRUNED
    w.end(2, Outcome.DISRUPTED)
    w.settle()
    trial = w.facts.trial(2)
    assert (trial.state, trial.value, trial.reason) == (TrialState.PRUNED, 0.54, "Pruned")


def _confirms_the_winner(world: Build) -> None:
    w = world(budget={"maxTrials": 2, "parallelism": 2, "maxDuration": "1h"}, confirmation={"repeats": 3})
    w.settle()
    w.end(1, Outcome.SUCCEEDED, value=0.9)
    w.settle()
    assert not w.facts.of(Role.CONFIRM), "not while another trial may still win"
    w.end(0, Outcome.SUCCEEDED, value=0.8)
    w.settle()
    w.now += 7_200  # the budget is the search's
    w.settle()
    assert len(w.running()) == 2, "as many at once as parallelism says"
    w.run_to_end(lambda _: (Outcome.SUCCEEDED, 0.7))
    fresh = w.facts.of(Role.CONFIRM)
    assert [trial.parameters for trial in fresh] == [w.facts.trial(1).parameters] * 3
    assert w.facts.verdict is not None
    assert (w.facts.verdict.reason, w.facts.verdict.succeeded) == ("MaxTrialsReached", True)


def _tests_the_winner_and_the_defaults(world: Build) -> None:
    w = world(
        baseline={"repeats": 1},
        budget={"maxTrials": 1, "parallelism": 1},
        confirmation={"repeats": 1},
        finalEvaluation={"metric": "test_accuracy", "repeats": 2},
    )
    w.run_to_end(lambda trial: (Outcome.SUCCEEDED, 0.9))
    roles = [trial.role for trial in w.facts.trials]
    assert roles == [Role.BASELINE, Role.SEARCH, Role.CONFIRM, *[Role.FINAL] * 4]
    tested = [trial.parameters for trial in w.facts.of(Role.FINAL)]
    assert tested == [w.facts.trial(1).parameters, w.facts.trial(0).parameters] * 2
    assert w.facts.verdict is not None
    assert "the test set cannot tell" in w.facts.verdict.message


SCENARIOS: Final = (
    Scenario("records how an attempt ended and tells its trial", conclude.policy, _ends_are_recorded),
    Scenario("treats an attempt that vanished as disrupted, not failed", conclude.policy, _vanished_attempt_is_disrupted),
    Scenario("releases what the runtime kept once it is recorded", release.policy, _recorded_attempts_are_released),
    Scenario("ends after exactly maxTrials search trials and says the best", verdict.policy, _ends_after_max_trials),
    Scenario("stops the other trials when the target is reached", stop.policy, _stops_others_at_the_end),
    Scenario("resumes the same trials after a suspension", stop.policy, _suspended_stops_and_resumes_the_same_trials),
    Scenario("ends a study whose object is deleted, and does not delete it again", verdict.policy, _ends_when_deleted),
    Scenario("starts what is held up anew once the spec is edited", mend.policy, _starts_anew_under_a_mended_spec),
    Scenario("tries again what was refused, and claims nothing meanwhile", start.policy, _tries_again_what_was_refused),
    Scenario(
        "does not retry an attempt over its time limit",
        timeout.policy,
        _an_attempt_over_its_limit_is_stopped,
    ),
    Scenario("prunes a trial that is behind the median", pruning.policy, _prunes),
    Scenario("starts what a crash left claimed", start.policy, _starts_what_a_crash_left_claimed),
    Scenario("runs a failed trial again as its next attempt", resume.policy, _a_failed_trial_runs_again),
    Scenario("runs the baseline before any search trial", baseline.policy, _baseline_first),
    Scenario("fills free slots with search trials", search.policy, _fills_free_slots),
    Scenario("runs the winner again after the search, so often as confirmation says", confirm.policy, _confirms_the_winner),
    Scenario("tests the winner and the defaults last, in turn", final.policy, _tests_the_winner_and_the_defaults),
    Scenario("deletes a finished study after its time to live", expiry.policy, _expires),
)
_ids = [scenario.sentence for scenario in SCENARIOS]


def _builder(policies: tuple[Policy, ...]) -> Build:
    return lambda **changes: SimulatedWorld(spec=study_spec(**changes), policies=policies)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_ids)
def test_the_operator(scenario: Scenario) -> None:
    scenario.story(_builder(POLICIES))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_ids)
def test_without_its_policy_it_is_not_true_that_the_operator(scenario: Scenario) -> None:
    without = tuple(policy for policy in POLICIES if policy is not scenario.policy)
    with pytest.raises((AssertionError, IndexError)):
        scenario.story(_builder(without))


def test_every_policy_has_a_sentence() -> None:
    assert {scenario.policy for scenario in SCENARIOS} == set(POLICIES)


# How a trial ends


@dataclass(frozen=True)
class End:
    sentence: str
    outcomes: tuple[tuple[Outcome, float | None], ...]
    state: TrialState
    reason: str
    attempts: int


ENDS: Final = (
    End("completes with its value", ((Outcome.SUCCEEDED, 0.5),), TrialState.COMPLETE, "Simulated", 1),
    End("fails after retry.failures more attempts", ((Outcome.FAILED, None),) * 2, TrialState.FAIL, "Simulated", 2),
    End(
        "completes on retry",
        ((Outcome.FAILED, None), (Outcome.SUCCEEDED, 0.1)),
        TrialState.COMPLETE,
        "Simulated",
        2,
    ),
    End("is not retried when its parameters are the cause", ((Outcome.INFEASIBLE, None),), TrialState.FAIL, "Simulated", 1),
    End("is infeasible when its metric is not a number", ((Outcome.SUCCEEDED, float("nan")),), TrialState.FAIL, "NotFinite", 1),
    End("is infeasible when its metric is infinite", ((Outcome.SUCCEEDED, float("inf")),), TrialState.FAIL, "NotFinite", 1),
    End("fails when the metric is missing, after a retry", ((Outcome.SUCCEEDED, None),) * 2, TrialState.FAIL, "MetricMissing", 2),
    End("is pruned", ((Outcome.PRUNED, None),), TrialState.PRUNED, "Simulated", 1),
    End(
        "survives four disruptions, which are not failures",
        ((Outcome.DISRUPTED, None),) * 4 + ((Outcome.SUCCEEDED, 0.3),),
        TrialState.COMPLETE,
        "Simulated",
        5,
    ),
    End(
        "is given up after five fruitless disruptions",
        ((Outcome.DISRUPTED, None),) * 5,
        TrialState.FAIL,
        "DisruptedTooOften",
        5,
    ),
)


@pytest.mark.parametrize("end", ENDS, ids=[end.sentence for end in ENDS])
def test_a_trial(end: End) -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, retry={"failures": 1}))
    for outcome, value in end.outcomes:
        world.settle()
        world.end(0, outcome, value=value)
    world.settle()
    trial = world.facts.trial(0)
    assert (trial.state, trial.reason, len(trial.attempts)) == (end.state, end.reason, end.attempts)


def test_disruptions_with_progress_in_between_are_not_counted_together() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    for step in range(12):
        world.settle()
        world.report(0, step, 0.5)
        world.end(0, Outcome.DISRUPTED)
    world.settle()
    assert not world.facts.trial(0).finished


@pytest.mark.parametrize(
    ("reason", "state", "word"),
    [
        (StopReason.TIMEOUT, TrialState.FAIL, "TimedOut"),
        (StopReason.STUDY_ENDED, TrialState.FAIL, "StudyEnded"),
        (StopReason.PRUNED, TrialState.PRUNED, "Pruned"),
    ],
)
def test_a_trial_that_leaves_when_asked_ends_for_the_reason_it_was_asked_whatever_it_calls_that(
    reason: StopReason, state: TrialState, word: str
) -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    world.settle()
    trial = world.facts.trial(0)
    world.facts = world.facts.with_trial(
        trial.with_attempt(replace(trial.last, stop_reason=reason, posted={}, posted_pruned=True))
    )
    world.end(0, Outcome.SUCCEEDED, value=None)
    world.settle()
    assert (world.facts.trial(0).state, world.facts.trial(0).reason) == (state, word)


def test_a_committed_result_outlives_the_loss_of_its_node() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    world.settle()
    world.post(0, 0.8)
    world.vanish(0)
    world.settle()
    assert world.facts.trial(0).value == 0.8


def test_a_committed_result_does_not_excuse_a_container_that_then_fails() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}, retry={"failures": 0}))
    world.settle()
    world.post(0, 0.8)
    world.end(0, Outcome.FAILED)
    world.settle()
    assert world.facts.trial(0).state is TrialState.FAIL


def test_a_trial_that_completes_while_it_is_being_stopped_counts_as_complete() -> None:
    world = SimulatedWorld(spec=study_spec(objectives=[{"metric": "val_accuracy", "direction": "maximize", "target": 0.9}]))
    world.settle()
    world.end(0, Outcome.SUCCEEDED, value=0.95)
    world.settle()
    world.end(1, Outcome.SUCCEEDED, value=0.97)
    world.settle()
    best = project(world.facts, world.now).best
    assert best is not None
    assert best.trial == 1


# How a study ends


@dataclass(frozen=True)
class StudyEnd:
    sentence: str
    changes: dict[str, Any]
    outcome: tuple[Outcome, float | None]
    reason: str
    succeeded: bool
    says: str


STUDY_ENDS: Final = (
    StudyEnd(
        "when every trial failed",
        {"budget": {"maxTrials": 2}, "retry": {"failures": 0}},
        (Outcome.FAILED, None),
        "NoTrialSucceeded",
        succeeded=False,
        says="trial 1 ended as Simulated",
    ),
    StudyEnd(
        "when more trials failed than allowed",
        {"budget": {"maxTrials": 9, "maxFailedTrials": 1}, "retry": {"failures": 0}},
        (Outcome.FAILED, None),
        "TooManyFailedTrials",
        succeeded=False,
        says="failed trials: 2, spec.budget.maxFailedTrials allows 1",
    ),
    StudyEnd(
        "when no baseline run gave a value, with a remedy",
        {"baseline": {"repeats": 2}, "retry": {"failures": 0}},
        (Outcome.FAILED, None),
        "BaselineFailed",
        succeeded=False,
        says="baseline: {repeats: 0}",
    ),
    StudyEnd(
        "when the defaults already reach the target",
        {"baseline": {"repeats": 1}, "objectives": [{"metric": "val_accuracy", "direction": "maximize", "target": 0.4}]},
        (Outcome.SUCCEEDED, 0.5),
        "TargetReached",
        succeeded=True,
        says="the defaults already reach",
    ),
    StudyEnd(
        "when its time is over",
        {"budget": {"maxTrials": 100, "maxDuration": "30s"}},
        (Outcome.SUCCEEDED, 0.5),
        "MaxDurationReached",
        succeeded=True,
        says="spec.budget.maxDuration 30s is over",
    ),
    StudyEnd(
        "when its GPU-hours are used",
        {
            "budget": {"maxTrials": 100, "maxGpuHours": 0.01},
            "trial": {"gpus": 2, "template": {"spec": {"containers": [{"name": "t"}]}}},
        },
        (Outcome.SUCCEEDED, 0.5),
        "MaxGpuHoursReached",
        succeeded=True,
        says="GPU-hours used, spec.budget.maxGpuHours is 0.01",
    ),
)


@pytest.mark.parametrize("end", STUDY_ENDS, ids=[end.sentence for end in STUDY_ENDS])
def test_a_study_ends(end: StudyEnd) -> None:
    world = SimulatedWorld(spec=study_spec(**end.changes))
    world.run_to_end(lambda _: end.outcome)
    verdict = world.facts.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.succeeded) == (end.reason, end.succeeded)
    assert end.says in verdict.message


def test_a_study_ends_when_the_sampler_has_nothing_left() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 10}), space_size=3)
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, 0.5))
    assert completed(world) == 3
    assert world.facts.verdict is not None
    assert world.facts.verdict.reason == "SearchSpaceExhausted"


def test_trials_that_diverge_do_not_count_against_max_failed_trials() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 4, "maxFailedTrials": 0}))
    world.run_to_end(lambda t: (Outcome.SUCCEEDED, float("nan") if t.number else 0.5))
    assert world.facts.verdict is not None
    assert world.facts.verdict.reason == "MaxTrialsReached"


# Stalled: the study's own fault


def test_a_configuration_error_stalls_the_study_and_counts_nothing() -> None:
    world = SimulatedWorld(spec=study_spec())
    world.settle()
    world.end(0, Outcome.CONFIGURATION, reason="ConfigurationError")
    world.settle()
    assert [t.number for t in world.running()] == [1], "what runs goes on, nothing new starts"
    status = project(world.facts, world.now)
    stalled = next(c for c in status.conditions if c.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "ConfigurationError")
    assert status.trials.failed == 0


def test_a_stalled_study_goes_on_with_the_same_trial_once_it_is_edited() -> None:
    world = SimulatedWorld(spec=study_spec())
    world.settle()
    world.end(0, Outcome.CONFIGURATION)
    world.settle()
    world.edit(study_spec())
    world.settle()
    assert [t.number for t in world.running()] == [0, 1]
    assert newest(world, 0).number == 1


# Pruning

MEDIAN_OF_THREE: Final = {"pruner": "median", "startupTrials": 3, "warmupSteps": 1}
CURVES: Final[dict[str, tuple[list[float], bool]]] = {
    "goes on above the median": ([0.2, 0.7], False),
    "goes on at the median": ([0.2, 0.6], False),
    "is pruned below the median": ([0.2, 0.59], True),
    "goes on when it was better before": ([0.7, 0.1], False),
    "is pruned when nothing it reported is a number": ([float("nan"), float("nan")], True),
    "is judged by its numbers when some are none": ([0.9, float("nan")], False),
}


@pytest.mark.parametrize(("curve", "pruned"), CURVES.values(), ids=CURVES.keys())
def test_of_three_completed_trials_with_median_0_6_a_trial(curve: list[float], pruned: bool) -> None:  # noqa: FBT001
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 9, "parallelism": 1}, pruning=MEDIAN_OF_THREE))
    for number, best in enumerate((0.5, 0.6, 0.7)):
        world.settle()
        world.report(number, 0, best - 0.1)
        world.report(number, 1, best)
        world.report(number, 2, 0.99)  # later steps do not count
        world.end(number, Outcome.SUCCEEDED)
    world.settle()
    for step, value in enumerate(curve):
        world.report(3, step, value)
    world.settle()
    assert (newest(world, 3).stop_reason is StopReason.PRUNED) is pruned


def test_a_baseline_run_is_never_pruned() -> None:
    spec = study_spec(budget={"maxTrials": 9, "parallelism": 1}, pruning=MEDIAN_OF_THREE)
    world = SimulatedWorld(spec=spec)
    for number in range(3):
        world.settle()
        world.report(number, 1, 0.6)
        world.end(number, Outcome.SUCCEEDED)
    world.settle()
    world.report(3, 1, 0.1)
    trial = world.facts.trial(3)
    world.facts = world.facts.with_trial(replace(trial, role=Role.BASELINE))
    assert not world.decide()
    world.facts = world.facts.with_trial(trial)
    assert world.decide(), "as a search trial it would be"


def test_nothing_is_pruned_by_default() -> None:
    assert study_spec().pruning.pruner == "none"


# Crashes between an action and its record


def test_an_attempt_that_ran_before_its_start_was_recorded_is_started_once_and_recorded() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    start = next(place for place, action in enumerate(world.decide()) if isinstance(action, StartAttempt))
    world.round(crash_after=start)
    assert newest(world, 0).started_at is None
    world.settle()
    assert newest(world, 0).started_at is not None
    assert world.starts == [(0, 0)]


def test_an_attempt_that_nobody_recorded_or_remembers_is_started_as_if_for_the_first_time() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    start = next(place for place, action in enumerate(world.decide()) if isinstance(action, StartAttempt))
    world.round(crash_after=start)
    world.vanish(0)
    world.settle()
    assert [t.last.number for t in world.running()] == [0], "still its first attempt, and one alone"


def test_an_attempt_that_was_to_be_stopped_when_we_were_killed_is_asked_again() -> None:
    world = SimulatedWorld(spec=study_spec(trial=TIMED))
    world.settle()
    world.now += 61
    world.round(crash_after=0)
    attempt = newest(world, 0)
    assert attempt.stop_reason is StopReason.TIMEOUT
    assert attempt.observed is not None
    assert not attempt.observed.stopping
    world.settle()
    assert all(t.last.observed and t.last.observed.stopping for t in world.running())


@pytest.mark.parametrize("ended", [False, True], ids=["suspended", "ended"])
def test_what_was_claimed_and_never_started_is_not_started_once_the_study_is(ended: bool) -> None:  # noqa: FBT001
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 2, "parallelism": 2, "maxDuration": "1m"}))
    world.round(crash_after=0)
    if ended:
        world.now += 61
    else:
        world.edit(study_spec(suspend=True))
    world.settle()
    assert world.starts == []
    trial = world.facts.trial(0)
    assert trial.last.ended is not None
    assert trial.reason == ("StudyEnded" if ended else "")


def test_waiting_for_a_place_does_not_count_against_the_time_limit() -> None:
    world = SimulatedWorld(spec=study_spec(trial=TIMED), accepted_as=Phase.PENDING)
    world.settle()
    world.now += 3600
    assert not world.decide()


def _suspend_and_resume(world: SimulatedWorld) -> None:
    world.edit(study_spec(budget={"maxTrials": 1}, suspend=True))
    world.settle()
    world.end(0, Outcome.DISRUPTED)
    world.settle()
    world.edit(study_spec(budget={"maxTrials": 1}))


def _hold_up_and_mend(world: SimulatedWorld) -> None:
    world.hold_up(0)
    world.edit(study_spec(budget={"maxTrials": 1}))
    world.settle()
    world.end(0, Outcome.DISRUPTED)


@pytest.mark.parametrize("interrupt", [_suspend_and_resume, _hold_up_and_mend], ids=["suspended", "mended"])
def test_a_disruption_does_not_count_towards_giving_a_trial_up_when_it_was_only(
    interrupt: Callable[[SimulatedWorld], None],
) -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 1}))
    world.settle()
    for _ in range(8):
        interrupt(world)
        world.settle()
    assert project(world.facts, world.now).trials.disrupted == 0
    for _ in range(4):
        world.end(0, Outcome.DISRUPTED)
        world.settle()
    interrupt(world)
    world.settle()
    assert not world.facts.trial(0).finished
    world.end(0, Outcome.DISRUPTED)
    world.settle()
    assert world.facts.trial(0).reason == "DisruptedTooOften", "those before and after are still in a row"


def test_trials_that_the_end_of_the_study_stopped_did_not_fail_by_themselves() -> None:
    spec = study_spec(budget={"maxTrials": 3, "parallelism": 1, "maxFailedTrials": 0, "maxDuration": "1m"})
    world = SimulatedWorld(spec=spec)
    world.settle()
    world.end(0, Outcome.DISRUPTED)
    world.round(crash_after=0)
    world.now += 61
    world.settle()
    trial = world.facts.trial(0)
    assert trial.reason == "StudyEnded"
    assert not summary.failed_by_itself(trial)


def test_interrupted_trials_wait_for_a_slot_when_parallelism_was_lowered() -> None:
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 4, "parallelism": 3}))
    world.settle()
    world.edit(study_spec(budget={"maxTrials": 4, "parallelism": 1}))
    for number in range(3):
        world.end(number, Outcome.DISRUPTED)
    world.settle()
    assert [trial.number for trial in world.running()] == [0]

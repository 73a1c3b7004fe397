"""What fresh runs of the winner say, and what nothing but luck must not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import pytest
from tests.support.simulated_world import METRIC, SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.status import Improvement, StudyStatus
from tuning_operator.engine.facts import Attempt, Ended, Outcome, Role, StudyFacts, Trial, TrialState, Verdict
from tuning_operator.engine.intervals import Interval, of_difference
from tuning_operator.engine.status import project

NULL_STUDIES: Final = 200
NOMINAL: Final = 0.05


def finished(number: int, role: Role, value: float) -> Trial:
    ended = Ended(outcome=Outcome.SUCCEEDED, at=2.0, reason="Completed", metrics={METRIC: value})
    return Trial(
        number=number,
        role=role,
        parameters={"learning_rate": 10.0 ** -(1 + number % 4)},
        seed=number,
        claimed_at=1.0,
        attempts=(Attempt(number=0, generation=1, claimed_at=1.0, ended=ended),),
        state=TrialState.COMPLETE,
        value=value,
        finished_at=2.0,
    )


def status_of(
    *, baseline: Sequence[float], search: Sequence[float], fresh: Sequence[float], direction: str = "maximize"
) -> StudyStatus:
    """The status of a study whose runs gave these values, all told."""
    values = [
        *((Role.BASELINE, value) for value in baseline),
        *((Role.SEARCH, value) for value in search),
        *((Role.CONFIRM, value) for value in fresh),
    ]
    spec = study_spec(
        objectives=[{"metric": METRIC, "direction": direction}],
        baseline={"repeats": len(baseline)},
        budget={"maxTrials": len(search)},
        confirmation={"repeats": len(fresh)},
    )
    end = Verdict(succeeded=True, reason="MaxTrialsReached", message="", at=2.0)
    trials = tuple(finished(number, role, value) for number, (role, value) in enumerate(values))
    facts = StudyFacts(spec=spec, generation=1, began_at=0.0, trials=trials, search_end=end, verdict=end)
    return project(facts, 3.0)


def improvement_of(status: StudyStatus) -> Improvement:
    assert status.improvement is not None
    return status.improvement


def test_the_gain_comes_from_fresh_runs_alone_and_its_interval_is_pooled() -> None:
    status = status_of(baseline=[0.90, 0.91, 0.92], search=[0.93, 0.99, 0.95], fresh=[0.94, 0.95, 0.96])
    gain = improvement_of(status)
    margin = 2.7764451 * 0.01 * (2 / 3) ** 0.5  # t at 0.975 with 4 degrees of freedom, s = 0.01 on both sides
    assert (gain.absolute, gain.low, gain.high) == pytest.approx((0.04, 0.04 - margin, 0.04 + margin), rel=1e-6)
    assert (gain.significant, gain.basis) == (True, "Confirmed")
    assert gain.message == "0.04 better than the defaults (95 % interval 0.01733 to 0.06267)"
    confirmed = status.confirmation
    assert confirmed is not None
    assert (confirmed.trial, confirmed.value, confirmed.stddev, confirmed.repeats) == pytest.approx((4, 0.95, 0.01, 3))
    assert confirmed.optimism == pytest.approx(0.04), "the single value 0.99 was luck in part"


def test_of_a_loss_the_gain_and_the_optimism_are_turned_so_that_more_is_better() -> None:
    status = status_of(baseline=[0.5, 0.6], search=[0.1, 0.4], fresh=[0.2, 0.3], direction="minimize")
    assert improvement_of(status).absolute == pytest.approx(0.3)
    assert status.confirmation is not None
    assert (status.confirmation.value, status.confirmation.optimism) == pytest.approx((0.25, 0.15))


def test_a_gain_that_may_be_luck_is_said_to_be_so() -> None:
    gain = improvement_of(status_of(baseline=[0.7, 0.9], search=[0.95], fresh=[0.8, 0.9]))
    assert gain.significant is False
    assert "which may be luck" in gain.message


def test_a_winner_that_is_worse_when_run_again_is_said_to_be_worse() -> None:
    gain = improvement_of(status_of(baseline=[0.8, 0.8], search=[0.95], fresh=[0.7, 0.7]))
    assert (gain.absolute, gain.low, gain.high) == pytest.approx((-0.1, -0.1, -0.1)), "seeds move nothing: no width"
    assert gain.message.startswith("0.1 worse than the defaults")


@pytest.mark.parametrize(
    ("baseline", "fresh"), [([0.5, 0.6], [0.9]), ([0.5], [0.8, 0.9])], ids=["fresh run", "run of the defaults"]
)
def test_one_run_cannot_be_tested(baseline: list[float], fresh: list[float]) -> None:
    gain = improvement_of(status_of(baseline=baseline, search=[0.95], fresh=fresh))
    assert (gain.low, gain.high, gain.significant, gain.basis) == (None, None, None, "Confirmed")
    assert "cannot be tested" in gain.message


def test_without_a_baseline_there_is_a_confirmed_value_and_no_gain() -> None:
    status = status_of(baseline=[], search=[0.95], fresh=[0.8, 0.9])
    assert status.improvement is None
    assert status.confirmation is not None
    assert status.confirmation.value == pytest.approx(0.85)


def test_variances_that_are_too_unlike_are_not_pooled() -> None:
    new, old = [1.0, 1.01, 0.99, 1.0, 1.0], [0.0, 2.0, -2.0, 4.0, -4.0]
    welch = of_difference(new, old)
    assert welch is not None
    assert (welch.low, welch.high) == pytest.approx((1 - 3.92648065, 1 + 3.92648065), rel=1e-5), (
        "as scipy's ttest_ind, equal_var=False"
    )


def test_means_beyond_all_numbers_have_no_interval() -> None:
    assert of_difference([1.7e308, -1.7e308], [0.0, 1.0]) is None
    assert of_difference([0.5, 0.5], [0.5, 0.5]) == Interval(0.0, 0.0)


def test_where_tuning_does_nothing_a_gain_is_claimed_no_more_often_than_stated() -> None:
    noise = random.Random(7)
    claims = better = 0
    for _ in range(NULL_STUDIES):
        baseline, search, fresh = ([noise.gauss(0.9, 0.01) for _ in range(amount)] for amount in (3, 30, 3))
        better += max(search) > sum(baseline) / len(baseline)
        claims += improvement_of(status_of(baseline=baseline, search=search, fresh=fresh)).significant is True
    assert better > 0.95 * NULL_STUDIES, "the raw best says almost always that tuning helped"
    assert claims <= NOMINAL * NULL_STUDIES


def test_the_verdict_of_a_study_says_what_its_fresh_runs_reached() -> None:
    world = SimulatedWorld(
        spec=study_spec(baseline={"repeats": 2}, budget={"maxTrials": 2, "parallelism": 1}, confirmation={"repeats": 2})
    )
    values = iter([0.5, 0.5, 0.9, 0.8, 0.7, 0.7])
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, next(values)))
    verdict = world.facts.verdict
    assert verdict is not None
    assert verdict.message == (
        "2 search trials; best val_accuracy 0.9 in trial 2; 2 fresh runs of trial 2 reached val_accuracy 0.7 on average, "
        "0.2 better than the defaults (95 % interval 0.2 to 0.2)"
    )
    assert world.facts.trial(4).role is Role.CONFIRM


def test_fresh_runs_that_fail_are_retried_like_others_and_leave_the_gain_provisional() -> None:
    world = SimulatedWorld(
        spec=study_spec(baseline={"repeats": 1}, budget={"maxTrials": 1}, confirmation={"repeats": 2}, retry={"failures": 1})
    )
    world.run_to_end(
        lambda trial: (Outcome.FAILED, None) if trial.role is Role.CONFIRM else (Outcome.SUCCEEDED, 0.5 + trial.number / 10)
    )
    assert [len(trial.attempts) for trial in world.facts.of(Role.CONFIRM)] == [2, 2]
    status = project(world.facts, world.now)
    assert (status.phase, improvement_of(status).basis) == ("Succeeded", "Provisional")
    assert world.facts.verdict is not None
    assert world.facts.verdict.message.endswith("none of 2 fresh runs of trial 1 gave a value, so that its gain is not confirmed")


def test_while_the_winner_runs_again_the_status_says_how_far_it_is() -> None:
    world = SimulatedWorld(
        spec=study_spec(baseline={"repeats": 1}, budget={"maxTrials": 1, "parallelism": 1}, confirmation={"repeats": 2})
    )
    for number in range(3):
        world.settle()
        world.end(number, Outcome.SUCCEEDED)
    world.settle()
    status = project(world.facts, world.now)
    going_on = next(condition for condition in status.conditions if condition.type == "Reconciling")
    assert (going_on.reason, going_on.message) == ("Confirming", "1 of 2 fresh runs of trial 1 have ended")
    assert (status.phase, status.trials.progress) == ("Running", "1/1")
    assert improvement_of(status).basis == "Provisional", "until all have ended"


def test_trials_that_the_end_of_the_search_stops_are_no_failures() -> None:
    world = SimulatedWorld(
        spec=study_spec(
            objectives=[{"metric": METRIC, "direction": "maximize", "target": 0.8}],
            budget={"maxTrials": 4, "parallelism": 2},
            confirmation={"repeats": 1},
        )
    )
    world.settle()
    world.end(0, Outcome.SUCCEEDED, value=0.9)
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, 0.7))
    assert (world.facts.trial(1).state, world.facts.trial(1).reason) == (TrialState.FAIL, "StudyEnded")
    assert [trial.role for trial in world.facts.trials] == [Role.SEARCH, Role.SEARCH, Role.CONFIRM]
    assert project(world.facts, world.now).trials.stopped == 1


def test_a_study_that_failed_or_was_deleted_confirms_nothing() -> None:
    spec = study_spec(budget={"maxTrials": 1}, confirmation={"repeats": 3}, retry={"failures": 0})
    failed, deleted = SimulatedWorld(spec=spec), SimulatedWorld(spec=spec)
    failed.run_to_end(lambda _: (Outcome.FAILED, None))
    deleted.settle()
    deleted.end(0, Outcome.SUCCEEDED)
    deleted.delete()
    deleted.settle()
    for world, reason in ((failed, "NoTrialSucceeded"), (deleted, "Deleted")):
        assert world.facts.verdict is not None
        assert world.facts.verdict.reason == reason
        assert not world.facts.of(Role.CONFIRM)

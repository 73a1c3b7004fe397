"""Figures that follow from the facts: baseline, best, counts, cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tuning_operator.engine.facts import Attempt, Role, StudyFacts, Trial, TrialState
from tuning_operator.engine.intervals import mean_of, stddev_of
from tuning_operator.engine.tally import HOUR, attempt_hours, failed_by_itself, known_end, tally, wasted_hours

__all__ = ["HOUR", "attempt_hours", "failed_by_itself"]


@dataclass(frozen=True, kw_only=True)
class BaselineFigures:
    """What the defaults reach over their completed repeats."""

    mean: float
    stddev: float | None  # n - 1 in the denominator; None for one repeat
    repeats: int


def values_of(trials: Iterable[Trial]) -> tuple[float, ...]:
    """The values of those that completed, in order."""
    return tuple(t.value for t in trials if t.state is TrialState.COMPLETE and t.value is not None)


def baselines(facts: StudyFacts) -> tuple[Trial, ...]:
    """The runs of the defaults, finished ones first."""
    return (*tally(facts).baselines, *(trial for trial in facts.unfinished if trial.role is Role.BASELINE))


def confirmations(facts: StudyFacts) -> tuple[Trial, ...]:
    """The fresh runs of the winner, finished ones first."""
    return (*tally(facts).confirmations, *(trial for trial in facts.unfinished if trial.role is Role.CONFIRM))


def finals(facts: StudyFacts) -> tuple[Trial, ...]:
    """The runs of the final evaluation, finished ones first."""
    return (*tally(facts).finals, *(trial for trial in facts.unfinished if trial.role is Role.FINAL))


def searched(facts: StudyFacts) -> int:
    """How many search trials there are, whatever became of them."""
    return tally(facts).search + sum(trial.role is Role.SEARCH for trial in facts.unfinished)


def baseline(facts: StudyFacts) -> BaselineFigures | None:
    """Mean and standard deviation of the completed baseline runs; None before the first."""
    values = values_of(tally(facts).baselines)
    if not values:
        return None
    return BaselineFigures(mean=mean_of(values), stddev=stddev_of(values), repeats=len(values))


def baseline_done(facts: StudyFacts) -> bool:
    """Whether every repeat of the baseline is told."""
    trials = baselines(facts)
    return len(trials) >= facts.spec.baseline.repeats and all(trial.finished for trial in trials)


def top(facts: StudyFacts) -> tuple[Trial, ...]:
    """The first five of the completed search trials, best first; of equals the earlier one."""
    return tally(facts).highest if facts.spec.objective.direction == "maximize" else tally(facts).lowest


def best(facts: StudyFacts) -> Trial | None:
    """The best completed search trial."""
    return next(iter(top(facts)), None)


def winner(facts: StudyFacts) -> Trial | None:
    """The trial that the search chose: its best by single values. None before it stands, and when there is none.

    It stands once the search is over and all of its trials are told, for what is told never changes.
    """
    over = facts.search_end is not None and all(trial.role is not Role.SEARCH for trial in facts.unfinished)
    return best(facts) if over else None


def holds_place(attempt: Attempt) -> bool:
    """Whether its hours grow with time."""
    return attempt.placed_at is not None and known_end(attempt) is None


def trial_hours(facts: StudyFacts, now: float) -> float:
    """Hours of all attempts."""
    return tally(facts).hours + sum(attempt_hours(attempt, now) for trial in facts.unfinished for attempt in trial.attempts)


def gpu_hours(facts: StudyFacts, now: float) -> float:
    """Hours of all attempts, times the GPUs of each."""
    gpus = facts.spec.trial.gpus
    return trial_hours(facts, now) * gpus if gpus else 0.0


def wasted(facts: StudyFacts) -> float:
    """Hours of attempts that failed or were disrupted."""
    return tally(facts).wasted + sum(wasted_hours(attempt) for trial in facts.unfinished for attempt in trial.attempts)


def saved(facts: StudyFacts) -> float:
    """Hours that pruned search trials would have taken beyond their own, had each run as long as the mean completed one.

    An estimate: what is pruned may have been larger or smaller than what completes. 0 before a trial has completed.
    """
    told = tally(facts)
    completed, pruned = told.states[TrialState.COMPLETE], told.states[TrialState.PRUNED]
    return max(0.0, pruned * told.complete_hours / completed - told.pruned_hours) if completed else 0.0

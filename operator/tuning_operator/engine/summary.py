"""Figures that follow from the facts: baseline, best, counts, cost. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Final

from tuning_operator.engine.facts import STUDY_ENDED, Attempt, Ended, Outcome, Role, StudyFacts, Trial, TrialState

HOUR: Final = 3600.0
"""Seconds."""

_OWN_FAULT = (Outcome.FAILED, Outcome.DISRUPTED)


@dataclass(frozen=True, kw_only=True)
class BaselineFigures:
    """What the defaults reach over their completed repeats."""

    mean: float
    stddev: float | None  # n - 1 in the denominator; None for one repeat
    repeats: int


def baseline(facts: StudyFacts) -> BaselineFigures | None:
    """Mean and standard deviation of the completed baseline runs; None before the first."""
    values = [t.value for t in facts.of(Role.BASELINE) if t.state is TrialState.COMPLETE and t.value is not None]
    if not values:
        return None
    stddev = statistics.stdev(values) if len(values) > 1 else None
    return BaselineFigures(mean=statistics.fmean(values), stddev=stddev, repeats=len(values))


def baseline_done(facts: StudyFacts) -> bool:
    """Whether every repeat of the baseline is told."""
    trials = facts.of(Role.BASELINE)
    return len(trials) >= facts.spec.baseline.repeats and all(trial.finished for trial in trials)


def ranking(facts: StudyFacts) -> list[Trial]:
    """Completed search trials, best first; of equals the earlier one."""
    complete = [t for t in facts.of(Role.SEARCH) if t.state is TrialState.COMPLETE and t.value is not None]
    sign = -1.0 if facts.spec.objective.direction == "maximize" else 1.0
    return sorted(complete, key=lambda t: (sign * (t.value or 0.0), t.number))


def best(facts: StudyFacts) -> Trial | None:
    """The best completed search trial."""
    ranked = ranking(facts)
    return ranked[0] if ranked else None


def failed_by_itself(trial: Trial) -> bool:
    """Whether the trial failed for an unknown cause: not by its parameters, and not because the study ended."""
    ended = trial.last.ended
    return trial.state is TrialState.FAIL and ended is not None and ended.outcome in _OWN_FAULT and trial.reason != STUDY_ENDED


def attempt_hours(attempt: Attempt, now: float) -> float:
    """Hours the attempt has held its place: from when it got it to its end, or until now. Waiting for one is none."""
    ended = _known_end(attempt)
    return 0.0 if attempt.placed_at is None else max(0.0, (ended.at if ended else now) - attempt.placed_at) / HOUR


def holds_place(attempt: Attempt) -> bool:
    """Whether its hours grow with time."""
    return attempt.placed_at is not None and _known_end(attempt) is None


def _known_end(attempt: Attempt) -> Ended | None:
    """As recorded, or else as seen."""
    return attempt.ended or (attempt.observed.ended if attempt.observed else None)


def trial_hours(facts: StudyFacts, now: float) -> float:
    """Hours of all attempts."""
    return sum(attempt_hours(attempt, now) for trial in facts.trials for attempt in trial.attempts)


def gpu_hours(facts: StudyFacts, now: float) -> float:
    """Hours of all attempts, times the GPUs of each."""
    gpus = facts.spec.trial.gpus
    return trial_hours(facts, now) * gpus if gpus else 0.0


def wasted_hours(facts: StudyFacts, now: float) -> float:
    """Hours of attempts that failed or were disrupted."""
    wasted = (Outcome.FAILED, Outcome.DISRUPTED, Outcome.CONFIGURATION)
    return sum(
        attempt_hours(attempt, now)
        for trial in facts.trials
        for attempt in trial.attempts
        if attempt.ended is not None and attempt.ended.outcome in wasted
    )

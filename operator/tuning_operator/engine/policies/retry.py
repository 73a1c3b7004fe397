"""Is a trial finished with this attempt, or does it run again? Preempted is not failed."""

from __future__ import annotations

import math
from typing import Final

from tuning_operator.api.contract import metric_of
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import NOT_COUNTED, Ended, Outcome, Trial, TrialState

MAX_FRUITLESS_DISRUPTIONS: Final = 5
"""Disruptions in a row without a new report before a trial is given up: it may be what disrupts its node."""


def tell_or_retry(trial: Trial, ended: Ended, spec: StudySpec) -> Tell | None:
    """The trial's end, now that its newest attempt ended so; None when it gets another attempt."""
    tell: Tell | None = None
    match ended.outcome:
        case Outcome.SUCCEEDED:
            tell = Tell(state=TrialState.COMPLETE, value=ended.metrics[metric_of(spec, trial.role)], reason=ended.reason)
        case Outcome.PRUNED:
            tell = Tell(state=TrialState.PRUNED, value=_last_report(trial), reason=ended.reason, message=ended.message)
        case Outcome.INFEASIBLE | Outcome.STOPPED:
            tell = _fail(ended.reason, ended.message)
        case Outcome.FAILED if _failures(trial) >= spec.retry.failures:
            tell = _fail(ended.reason, ended.message)
        case Outcome.DISRUPTED if _given_up(trial, ended):
            cause = f"{ended.reason} {ended.message}".strip()
            times = f"disrupted {MAX_FRUITLESS_DISRUPTIONS} times in a row without a new report"
            tell = _fail("DisruptedTooOften", f"{times}, last: {cause}")
        case _:
            pass  # another attempt; after CONFIGURATION once the study is mended
    return tell


def _failures(trial: Trial) -> int:
    return sum(a.ended is not None and a.ended.outcome is Outcome.FAILED for a in trial.attempts)


def _given_up(trial: Trial, ended: Ended) -> bool:
    return ended.reason not in NOT_COUNTED and fruitless_disruptions(trial) + 1 >= MAX_FRUITLESS_DISRUPTIONS


def fruitless_disruptions(trial: Trial) -> int:
    """How many of its newest recorded attempts in a row were disrupted without a step beyond the one before."""
    count = 0
    for attempt in reversed(trial.attempts):
        if attempt.ended is None:
            continue  # the newest one, about to be recorded
        if attempt.ended.outcome is not Outcome.DISRUPTED or attempt.last_step < trial.last_step:
            break
        if attempt.ended.reason not in NOT_COUNTED:
            count += 1
    return count


def _fail(reason: str, message: str) -> Tell:
    return Tell(state=TrialState.FAIL, value=None, reason=reason, message=message)


def _last_report(trial: Trial) -> float | None:
    value = trial.reports.get(trial.last_step)
    return value if value is not None and math.isfinite(value) else None

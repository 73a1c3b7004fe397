"""An attempt that ended is recorded, and its trial told unless it gets another attempt."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from tuning_operator.api.contract import metric_of
from tuning_operator.engine.actions import ConcludeAttempt
from tuning_operator.engine.facts import (
    RESULT_INVALID,
    SPEC_CHANGED,
    STUDY_ENDED,
    SUSPENDED,
    Attempt,
    Ended,
    Outcome,
    StopReason,
    StudyFacts,
    Trial,
)
from tuning_operator.engine.policies.retry import tell_or_retry

_STOPPED_AS: dict[StopReason, tuple[Outcome, str, str]] = {
    StopReason.PRUNED: (Outcome.PRUNED, "Pruned", ""),
    StopReason.TIMEOUT: (Outcome.INFEASIBLE, "TimedOut", "stopped at spec.trial.timeout"),
    StopReason.SUSPENDED: (Outcome.DISRUPTED, SUSPENDED, "stopped while the study is suspended"),
    StopReason.SPEC_CHANGED: (Outcome.DISRUPTED, SPEC_CHANGED, "stopped to start anew under the mended spec"),
    StopReason.STUDY_ENDED: (Outcome.STOPPED, STUDY_ENDED, "stopped because the study ended"),
}


def policy(facts: StudyFacts, now: float) -> Iterator[ConcludeAttempt]:
    """Record every attempt that has ended."""
    for trial in facts.live:
        seen = _seen_end(trial.last, now)
        if seen is not None:
            ended = settle(trial.last, seen, metric=metric_of(facts.spec, trial.role))
            yield ConcludeAttempt(
                trial=trial.number,
                attempt=trial.last.number,
                ended=ended,
                tell=tell_or_retry(trial, ended, facts.spec),
            )


def _seen_end(attempt: Attempt, now: float) -> Ended | None:
    seen = attempt.observed
    if seen is None:
        # The runtime accepted it once and knows nothing of it now: deleted by hand, or its node is gone.
        if attempt.started_at is None:
            return None
        gone = "the runtime no longer knows it"
        return Ended(outcome=Outcome.DISRUPTED, at=now, reason="Vanished", message=gone, placed_at=attempt.placed_at)
    return replace(seen.ended, placed_at=attempt.placed_at) if seen.ended is not None else None


def settle(attempt: Attempt, ended: Ended, *, metric: str) -> Ended:
    """How the attempt ended, from what the runtime saw, what the container posted, and what we asked of it.

    A committed result outlives a disruption that came after it, and a result file that was cut short, but not a failure of
    the container itself.
    """
    if attempt.posted is not None:
        ended = replace(
            ended,
            metrics=attempt.posted,
            pruned=attempt.posted_pruned or ended.pruned,
            diagnoses=attempt.posted_diagnoses or ended.diagnoses,
            notes=attempt.posted_notes or ended.notes,
        )
        if ended.outcome is Outcome.DISRUPTED or ended.reason == RESULT_INVALID:
            ended = replace(ended, outcome=Outcome.SUCCEEDED, reason="Completed")
    if ended.outcome is Outcome.SUCCEEDED:
        return _settle_success(attempt, ended, metric)
    if attempt.stop_reason is not None and ended.outcome in (Outcome.DISRUPTED, Outcome.FAILED):
        return stopped(ended, attempt.stop_reason)
    return ended


def stopped(ended: Ended, reason: StopReason) -> Ended:
    """The end of an attempt that we stopped for this reason."""
    outcome, word, message = _STOPPED_AS[reason]
    return replace(ended, outcome=outcome, reason=word, message=message)


def _settle_success(attempt: Attempt, ended: Ended, metric: str) -> Ended:
    value = ended.metrics.get(metric)
    if attempt.stop_reason is not None and (value is None or ended.pruned):
        # It left because we asked: ours is the reason that counts, whatever it calls that.
        return stopped(ended, attempt.stop_reason)
    if ended.pruned:
        return replace(ended, outcome=Outcome.PRUNED, reason="Pruned")
    if value is None:
        found = ", ".join(sorted(ended.metrics))
        message = f"the result has no number under {metric}, the metric of spec.objectives[0]" + (
            f"; it has {found}" if found else "; write it into TUNING_RESULT_FILE"
        )
        return replace(ended, outcome=Outcome.FAILED, reason="MetricMissing", message=message)
    if not math.isfinite(value):
        return _not_finite(ended, f"{metric} is {value}")
    return ended


def _not_finite(ended: Ended, what: str) -> Ended:
    """Named after what was wrong with the training, where the container says that."""
    first = next(iter(ended.diagnoses), None)
    reason, message = "NotFinite", f"{what}: the training diverged, or the metric is undefined for this configuration"
    if first is not None and first.reason is not None:
        reason, message = first.reason, first.advice or what
    return replace(ended, outcome=Outcome.INFEASIBLE, reason=reason, message=ended.message or message)


def never_started(trial: Trial, reason: StopReason, facts: StudyFacts, now: float) -> ConcludeAttempt:
    """The end of an attempt that was claimed and is not wanted any more."""
    ended = stopped(Ended(outcome=Outcome.STOPPED, at=now, reason=STUDY_ENDED), reason)
    return ConcludeAttempt(
        trial=trial.number, attempt=trial.last.number, ended=ended, tell=tell_or_retry(trial, ended, facts.spec)
    )

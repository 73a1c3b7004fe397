"""An attempt that runs longer than spec.trial.timeout is stopped. Waiting for a place does not count."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.api.base import seconds
from tuning_operator.engine.actions import StopAttempt
from tuning_operator.engine.facts import Phase, StopReason, StudyFacts


def policy(facts: StudyFacts, now: float) -> Iterator[StopAttempt]:
    """Stop attempts over their time limit."""
    if facts.spec.trial.timeout is None:
        return
    limit = seconds(facts.spec.trial.timeout)
    for trial in facts.live:
        seen = trial.last.observed
        if seen is None or seen.phase is not Phase.RUNNING or seen.started_at is None or trial.last.stop_reason is not None:
            continue
        if now - seen.started_at >= limit:
            yield StopAttempt(trial=trial.number, attempt=trial.last.number, reason=StopReason.TIMEOUT)

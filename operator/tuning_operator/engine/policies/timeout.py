"""An attempt that runs longer than spec.trial.timeout is stopped. Waiting for a place does not count."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.api.base import seconds
from tuning_operator.engine.actions import StopAttempt
from tuning_operator.engine.facts import Phase, StopReason, StudyFacts, Trial


def policy(facts: StudyFacts, now: float) -> Iterator[StopAttempt]:
    """Stop attempts over their time limit."""
    for trial, over_at in limits(facts):
        if now >= over_at:
            yield StopAttempt(trial=trial.number, attempt=trial.last.number, reason=StopReason.TIMEOUT)


def limits(facts: StudyFacts) -> Iterator[tuple[Trial, float]]:
    """Every trial that runs, and when its attempt is over its limit. What the study itself holds up is not at fault."""
    if facts.spec.trial.timeout is None:
        return
    limit = seconds(facts.spec.trial.timeout)
    for trial in facts.live:
        seen = trial.last.observed
        runs = seen is not None and seen.phase is Phase.RUNNING and not seen.held_up
        if runs and trial.last.placed_at is not None and trial.last.stop_reason is None:
            yield trial, trial.last.placed_at + limit

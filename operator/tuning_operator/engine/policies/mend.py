"""An attempt that cannot run under the spec of its time starts anew once the spec has been edited."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.actions import StopAttempt
from tuning_operator.engine.facts import StopReason, StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[StopAttempt]:
    """Stop what is held up under an older generation: its Pod has the template as it was, with the mistake in it."""
    for trial in facts.live:
        attempt = trial.last
        older = attempt.generation < facts.generation
        if older and attempt.observed and attempt.observed.held_up and attempt.stop_reason is None:
            yield StopAttempt(trial=trial.number, attempt=attempt.number, reason=StopReason.SPEC_CHANGED)

"""A claimed attempt that the runtime has never accepted is started."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.actions import StartAttempt
from tuning_operator.engine.facts import StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[StartAttempt]:
    """Start what was claimed and not started: a crash, or a refusal of the runtime, came between."""
    if facts.halted:
        return
    for trial in facts.live:
        if trial.last.observed is None and trial.last.started_at is None:
            yield StartAttempt(trial=trial.number, attempt=trial.last.number)

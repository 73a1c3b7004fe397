"""A claimed attempt is started until it is recorded that the runtime accepted it."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.actions import StartAttempt
from tuning_operator.engine.facts import StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[StartAttempt]:
    """Start what is not recorded as started: a crash came between, before or after the runtime accepted it.

    Starting again what runs is success, and then recorded: an attempt that vanishes must be known to have run.
    """
    if facts.halted:
        return
    for trial in facts.live:
        if trial.last.started_at is None:
            yield StartAttempt(trial=trial.number, attempt=trial.last.number)

"""An interrupted or failed trial gets its next attempt as soon as there is a slot."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.actions import Action, ClaimAttempt, StartAttempt
from tuning_operator.engine.facts import StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Claim and start the next attempts, oldest trials first."""
    if facts.halted:
        return
    waiting = [trial for trial in facts.unfinished if not trial.last.live]
    for trial in waiting[: facts.free_slots]:
        number = trial.last.number + 1
        yield ClaimAttempt(trial=trial.number, attempt=number)
        yield StartAttempt(trial=trial.number, attempt=number)

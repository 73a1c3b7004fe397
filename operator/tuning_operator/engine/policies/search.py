"""Free slots are filled with search trials: exactly budget.maxTrials of them, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tuning_operator.engine import summary
from tuning_operator.engine.actions import Action, AskTrial, StartAttempt
from tuning_operator.engine.facts import StudyFacts

HANDFUL: Final = 8
"""Trials that are claimed together: written at once, and not so many that the first of them waits for long."""


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Ask for the trials that are missing, as far as there are slots; not before the baseline is known."""
    if facts.halted or not facts.searching or facts.exhausted or not summary.baseline_done(facts):
        return
    missing = facts.spec.budget.max_trials - summary.searched(facts)
    first = len(facts.trials)
    end = first + min(max(missing, 0), facts.free_slots)
    for begin in range(first, end, HANDFUL):
        handful = range(begin, min(begin + HANDFUL, end))
        yield from (AskTrial(number=number) for number in handful)
        yield from (StartAttempt(trial=number, attempt=0) for number in handful)

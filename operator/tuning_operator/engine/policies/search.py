"""Free slots are filled with search trials: exactly budget.maxTrials of them, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine import summary
from tuning_operator.engine.actions import Action, AskTrial, StartAttempt
from tuning_operator.engine.facts import StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Ask for the trials that are missing, as far as there are slots; not before the baseline is known."""
    if facts.halted or facts.exhausted or not summary.baseline_done(facts):
        return
    missing = facts.spec.budget.max_trials - summary.searched(facts)
    first = len(facts.trials)
    for number in range(first, first + min(max(missing, 0), facts.free_slots)):
        yield AskTrial(number=number)
        yield StartAttempt(trial=number, attempt=0)

"""After the confirmation the winner and the defaults are tested, in turn, so that neither has the better hours."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine import final_evaluation, summary
from tuning_operator.engine.actions import Action, ClaimTrial, StartAttempt
from tuning_operator.engine.facts import Role, StudyFacts
from tuning_operator.engine.tally import tally


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Claim and start the runs that are missing, once all that comes before them is told."""
    candidates = final_evaluation.candidates(facts)
    if facts.halted or not candidates or len(tally(facts).confirmations) < facts.spec.confirmation.repeats:
        return
    done = len(summary.finals(facts))
    first = len(facts.trials)
    for place in range(min(max(0, final_evaluation.runs(facts.spec) - done), facts.free_slots)):
        parameters = candidates[(done + place) % len(candidates)]
        yield ClaimTrial(number=first + place, role=Role.FINAL, parameters=parameters)
        yield StartAttempt(trial=first + place, attempt=0)

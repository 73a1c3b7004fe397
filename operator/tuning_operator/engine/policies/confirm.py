"""The winner of the search runs again with fresh seeds: the best of many single values is partly luck."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine import summary
from tuning_operator.engine.actions import Action, ClaimTrial, StartAttempt
from tuning_operator.engine.facts import Role, StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Claim and start the repeats that are missing, once no search trial can become the winner any more."""
    winner = summary.winner(facts)
    missing = facts.spec.confirmation.repeats - len(summary.confirmations(facts))
    if facts.halted or winner is None or missing <= 0:
        return
    first = len(facts.trials)
    for number in range(first, first + min(missing, facts.free_slots)):
        yield ClaimTrial(number=number, role=Role.CONFIRM, parameters=winner.parameters)
        yield StartAttempt(trial=number, attempt=0)

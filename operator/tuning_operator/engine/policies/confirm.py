"""The winner of the search runs again with fresh seeds: the best of many single values is partly luck."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from tuning_operator.engine import summary
from tuning_operator.engine.actions import Action
from tuning_operator.engine.facts import Role, StudyFacts
from tuning_operator.engine.policies.claims import claims


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Claim and start the repeats that are missing, once no search trial can become the winner any more."""
    winner = summary.winner(facts)
    missing = facts.spec.confirmation.repeats - len(summary.confirmations(facts))
    if facts.halted or winner is None or missing <= 0:
        return
    yield from claims(facts, Role.CONFIRM, repeat(winner.parameters, missing))

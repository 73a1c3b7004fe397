"""After the confirmation the winner and the defaults are tested, in turn, so that neither has the better hours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

from tuning_operator.engine import final_evaluation, summary
from tuning_operator.engine.actions import Action
from tuning_operator.engine.facts import Role, StudyFacts
from tuning_operator.engine.policies.claims import claims
from tuning_operator.engine.tally import tally


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Claim and start the runs that are missing, once all that comes before them is told."""
    candidates = final_evaluation.candidates(facts)
    if facts.halted or not candidates or len(tally(facts).confirmations) < facts.spec.confirmation.repeats:
        return
    done, wanted = len(summary.finals(facts)), final_evaluation.runs(facts.spec)
    yield from claims(facts, Role.FINAL, islice(cycle(candidates), done, wanted))

"""The defaults run first, with different seeds: the figure to beat."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.api.parameters import defaults
from tuning_operator.engine import summary
from tuning_operator.engine.actions import Action, ClaimTrial, StartAttempt
from tuning_operator.engine.facts import Role, StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Claim and start the repeats that are missing."""
    missing = facts.spec.baseline.repeats - len(summary.baselines(facts))
    if facts.halted or not facts.searching or missing <= 0:
        return
    values = defaults(facts.spec.parameters)
    first = len(facts.trials)
    for number in range(first, first + min(missing, facts.free_slots)):
        yield ClaimTrial(number=number, role=Role.BASELINE, parameters=values)
        yield StartAttempt(trial=number, attempt=0)

"""The defaults run first, with different seeds: the figure to beat."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from tuning_operator.api.parameters import defaults
from tuning_operator.engine import summary
from tuning_operator.engine.actions import Action
from tuning_operator.engine.facts import Role, StudyFacts
from tuning_operator.engine.policies.claims import claims


def policy(facts: StudyFacts, _now: float) -> Iterator[Action]:
    """Claim and start the repeats that are missing."""
    missing = facts.spec.baseline.repeats - len(summary.baselines(facts))
    if facts.halted or not facts.searching or missing <= 0:
        return
    yield from claims(facts, Role.BASELINE, repeat(defaults(facts.spec.parameters), missing))

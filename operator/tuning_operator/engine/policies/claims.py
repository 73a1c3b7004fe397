"""How runs are begun whose parameters are known, unlike those of the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.actions import Action, ClaimTrial, StartAttempt
from tuning_operator.engine.facts import Role, StudyFacts


def claims(facts: StudyFacts, role: Role, missing: Iterable[Parameters]) -> Iterator[Action]:
    """Claim and start a trial for each of the missing runs, in their order, as far as there are slots."""
    for number, parameters in enumerate(islice(missing, facts.free_slots), len(facts.trials)):
        yield ClaimTrial(number=number, role=role, parameters=parameters)
        yield StartAttempt(trial=number, attempt=0)

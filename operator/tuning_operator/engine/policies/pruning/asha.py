"""Asynchronous successive halving: one bracket, all search trials in it."""

from __future__ import annotations

from tuning_operator.api.pruning import Pruning
from tuning_operator.engine.facts import Role, StudyFacts
from tuning_operator.engine.policies.pruning.rule import Judge
from tuning_operator.engine.policies.pruning.rungs import fallen, first_rung, rungs


def rule(facts: StudyFacts, pruning: Pruning) -> Judge:
    """Stop what did not pass a rung."""
    assert pruning.max_resource is not None, "a rule of the manifest"
    factor = pruning.reduction_factor
    steps = rungs(first_rung(pruning), pruning.max_resource, factor)
    hopeless = fallen(facts.of(Role.SEARCH), steps, factor, facts.spec)
    return lambda trial: trial.number in hopeless

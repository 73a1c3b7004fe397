"""A search trial that is hopeless by its reports is stopped: its time is better spent. One file for each rule.

Every rule is a function of the facts alone, so that a decision is the same after a restart, and of the reports in the order in
which they came where that order matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tuning_operator.api.pruning import PrunerName, Pruning
from tuning_operator.engine.actions import StopAttempt
from tuning_operator.engine.facts import Role, StopReason, StudyFacts
from tuning_operator.engine.policies.pruning import asha, auto, folds, hyperband, patient, percentile, threshold
from tuning_operator.engine.policies.pruning.rule import Judge, Rule

_RULES: Final[Mapping[PrunerName, Rule]] = {
    "median": percentile.rule,
    "percentile": percentile.rule,
    "asha": asha.rule,
    "hyperband": hyperband.rule,
    "patient": patient.rule,
    "threshold": threshold.rule,
}
_WAITS: Final[frozenset[PrunerName]] = frozenset({"median", "percentile"})
"""Rules that a trial which still improves is exempt from, where the manifest gives a patience."""


def policy(facts: StudyFacts, _now: float) -> Iterator[StopAttempt]:
    """Stop running search trials that a rule calls hopeless, in order of their numbers."""
    pruning = auto.choose(facts.spec).pruning
    if pruning.pruner == "none":
        return
    running = [trial for trial in facts.live if trial.role is Role.SEARCH and trial.last.stop_reason is None and trial.reports]
    if not running:
        return
    judges = tuple(_judges(facts, pruning))
    for trial in running:
        if any(hopeless(trial) for hopeless in judges):
            yield StopAttempt(trial=trial.number, attempt=trial.last.number, reason=StopReason.PRUNED)


def _judges(facts: StudyFacts, pruning: Pruning) -> Iterator[Judge]:
    """By steps, if the pruner does that, and by folds, if there are any."""
    rule = _RULES.get(pruning.pruner)
    if rule is not None:
        hopeless = rule(facts, pruning)
        waits = pruning.patience is not None and pruning.pruner in _WAITS
        yield patient.wrapped(hopeless, facts, pruning) if waits else hopeless
    if facts.spec.validation is not None:
        yield folds.rule(facts, facts.spec.validation)

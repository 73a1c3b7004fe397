"""A trial is hopeless when it has stopped improving."""

from __future__ import annotations

import bisect

from tuning_operator.api.pruning import Pruning
from tuning_operator.engine.facts import StudyFacts, Trial
from tuning_operator.engine.policies.pruning.rule import Judge, best_until, fold_start, warm


def rule(facts: StudyFacts, pruning: Pruning) -> Judge:
    """Stop what has not improved by more than `minDelta` within its newest `patience` reports of this fold.

    Like early stopping within a training, and unlike Optuna's PatientPruner: that one asks for one report more, calls a tie an
    improvement, and takes a loss of up to its min_delta for one.
    """
    spec, objective, patience = facts.spec, facts.spec.objective, pruning.patience
    assert patience is not None, "a rule of the manifest"
    margin = objective.sign * pruning.min_delta

    def hopeless(trial: Trial) -> bool:
        since = fold_start(trial.last_step, spec)
        steps = trial.steps[bisect.bisect_left(trial.steps, since) :]
        if len(steps) <= patience or not warm(trial, pruning, spec):
            return False
        before = best_until(trial, steps[-patience - 1], objective, since=since)
        lately = best_until(trial, steps[-1], objective, since=steps[-patience])
        return lately is None or (before is not None and not objective.better(lately, before + margin))

    return hopeless


def wrapped(hopeless: Judge, facts: StudyFacts, pruning: Pruning) -> Judge:
    """What this rule and another one call hopeless."""
    waits = rule(facts, pruning)
    return lambda trial: hopeless(trial) and waits(trial)

"""A trial is hopeless when a report of it is beyond what any good one would show."""

from __future__ import annotations

import math

from tuning_operator.api.pruning import Pruning
from tuning_operator.engine.facts import StudyFacts, Trial
from tuning_operator.engine.policies.pruning.rule import Judge, fold_start


def rule(facts: StudyFacts, pruning: Pruning) -> Judge:
    """Stop what has a report below `lower`, above `upper` or not a number, at or after step `warmupSteps` of a fold."""
    lower = -math.inf if pruning.lower is None else pruning.lower
    upper = math.inf if pruning.upper is None else pruning.upper

    def hopeless(trial: Trial) -> bool:
        return any(
            not lower <= value <= upper
            for step, value in trial.reports.items()
            if step - fold_start(step, facts.spec) >= pruning.warmup_steps
        )

    return hopeless

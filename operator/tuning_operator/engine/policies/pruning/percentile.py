"""A trial is hopeless when its best report so far is behind most of the completed ones by that step. The median is the 50th."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from tuning_operator.api.pruning import Pruning
from tuning_operator.api.study import Objective
from tuning_operator.engine.facts import StudyFacts, Trial
from tuning_operator.engine.policies.pruning.rule import Judge, best_until, completed, fold_start, never, warm

_HALF = 50.0


def rule(facts: StudyFacts, pruning: Pruning) -> Judge:
    """Compare with the completed trials at the same step of the same fold, once `startupTrials` of them are there.

    Both sides are the best so far, unlike in Optuna's MedianPruner, which compares a best so far with single values of the
    others: a noisy epoch of theirs then decides (the rule is that of Golovin et al. 2017, Vizier, section 3.1, with the best
    instead of the running average). A trial without one finite report is behind.
    """
    others, objective = completed(facts), facts.spec.objective
    if len(others) < pruning.startup_trials:
        return never
    percent = _HALF if pruning.percentile is None or pruning.pruner == "median" else pruning.percentile

    @functools.cache
    def needed(step: int) -> float | None:
        since = fold_start(step, facts.spec)
        reached = [best for trial in others if (best := best_until(trial, step, objective, since=since)) is not None]
        return enough(reached, percent, objective) if reached else None

    def hopeless(trial: Trial) -> bool:
        if not warm(trial, pruning, facts.spec):
            return False
        step = trial.last_step
        bar = needed(step)
        mine = best_until(trial, step, objective, since=fold_start(step, facts.spec))
        return bar is not None and (mine is None or objective.better(bar, mine))

    return hopeless


def enough(values: Sequence[float], percent: float, objective: Objective) -> float:
    """The value that the best `percent` of these reach, interpolated between neighbours as numpy does by default."""
    share = percent / 100
    ordered = sorted(values)
    place = (len(ordered) - 1) * (1 - share if objective.direction == "maximize" else share)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

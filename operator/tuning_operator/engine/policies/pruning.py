"""A search trial whose reports fall behind those of the completed trials is stopped: its time is better spent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping

from tuning_operator.api.study import Objective
from tuning_operator.engine.actions import StopAttempt
from tuning_operator.engine.facts import Role, StopReason, StudyFacts, Trial, TrialState


def policy(facts: StudyFacts, _now: float) -> Iterator[StopAttempt]:
    """Stop running search trials that the pruner calls hopeless, in order of their numbers."""
    pruning = facts.spec.pruning
    if pruning.pruner == "none":
        return
    completed = [t for t in facts.of(Role.SEARCH) if t.state is TrialState.COMPLETE]
    if len(completed) < pruning.startup_trials:
        return
    for trial in facts.live:
        reported = trial.role is Role.SEARCH and trial.last.stop_reason is None and trial.last_step >= pruning.warmup_steps
        if reported and trial.reports and behind_the_median(trial, completed, facts.spec.objective):
            yield StopAttempt(trial=trial.number, attempt=trial.last.number, reason=StopReason.PRUNED)


def behind_the_median(trial: Trial, completed: list[Trial], objective: Objective) -> bool:
    """Whether the trial's best report so far is worse than the median of the others' best up to the same step.

    Both sides are the best so far, unlike in Optuna's MedianPruner, which compares a best so far with single values of
    the others: a noisy epoch of theirs then decides (the rule is that of Golovin et al. 2017, Vizier, section 3.1, with
    the best instead of the running average). A trial without one finite report is behind.
    """
    others = [best for other in completed if (best := best_until(other.reports, trial.last_step, objective)) is not None]
    if not others:
        return False
    mine = best_until(trial.reports, trial.last_step, objective)
    return mine is None or objective.better(statistics.median(others), mine)


def best_until(reports: Mapping[int, float], step: int, objective: Objective) -> float | None:
    """The best finite report up to and including the step; None without one."""
    values = [value for at, value in reports.items() if at <= step and math.isfinite(value)]
    if not values:
        return None
    return max(values) if objective.direction == "maximize" else min(values)

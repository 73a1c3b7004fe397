"""A search trial whose reports fall behind those of the completed trials is stopped: its time is better spent."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Iterator, Sequence

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
    medians: dict[int, float | None] = {}
    for trial in facts.live:
        step = trial.last_step
        if trial.role is not Role.SEARCH or trial.last.stop_reason is not None or step < pruning.warmup_steps:
            continue
        if step not in medians:
            medians[step] = median_until(completed, step, facts.spec.objective)
        if trial.reports and behind(trial, medians[step], facts.spec.objective):
            yield StopAttempt(trial=trial.number, attempt=trial.last.number, reason=StopReason.PRUNED)


def median_until(completed: Sequence[Trial], step: int, objective: Objective) -> float | None:
    """The median of the trials' best reports up to and including the step; None when there is none."""
    values = [best for trial in completed if (best := best_until(trial, step, objective)) is not None]
    return statistics.median(values) if values else None


def behind(trial: Trial, median: float | None, objective: Objective) -> bool:
    """Whether the trial's best report so far is worse than the others' median of the best so far.

    Both sides are the best so far, unlike in Optuna's MedianPruner, which compares a best so far with single values of
    the others: a noisy epoch of theirs then decides (the rule is that of Golovin et al. 2017, Vizier, section 3.1, with
    the best instead of the running average). A trial without one finite report is behind.
    """
    if median is None:
        return False
    mine = best_until(trial, trial.last_step, objective)
    return mine is None or objective.better(median, mine)


def best_until(trial: Trial, step: int, objective: Objective) -> float | None:
    """The trial's best finite report up to and including the step; None without one."""
    place = bisect.bisect_right(trial.finite_steps, step)
    if not place:
        return None
    return (trial.running_max if objective.direction == "maximize" else trial.running_min)[place - 1]

"""What all rules of pruning are made of: their form, and how they read a trial's curve."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Literal

from tuning_operator.api.contract import STEPS_PER_FOLD
from tuning_operator.api.pruning import Pruning
from tuning_operator.api.study import Objective, StudySpec
from tuning_operator.engine.facts import Role, StudyFacts, Trial, TrialState

Judge = Callable[[Trial], bool]
"""Whether a running trial, which has reports, is hopeless."""

Rule = Callable[[StudyFacts, Pruning], Judge]
"""Reads the facts once for all trials that it judges in one look."""


def never(_trial: Trial) -> Literal[False]:
    """No trial is hopeless yet."""
    return False


def completed(facts: StudyFacts) -> Sequence[Trial]:
    """Search trials that gave a value, in order."""
    return [trial for trial in facts.of(Role.SEARCH) if trial.state is TrialState.COMPLETE]


def fold_start(step: int, spec: StudySpec) -> int:
    """The first step of the fold that this step belongs to. Without folds all steps are of one."""
    return step // STEPS_PER_FOLD * STEPS_PER_FOLD if spec.validation is not None else 0


def warm(trial: Trial, pruning: Pruning, spec: StudySpec) -> bool:
    """Whether the trial is past the steps that it may finish whatever they show."""
    return trial.last_step - fold_start(trial.last_step, spec) >= pruning.warmup_steps


def best_until(trial: Trial, step: int, objective: Objective, *, since: int = 0) -> float | None:
    """The trial's best finite report at the steps `since` .. `step`, both included; None without one."""
    end = bisect.bisect_right(trial.finite_steps, step)
    begin = bisect.bisect_left(trial.finite_steps, since) if since else 0
    if begin >= end:
        return None
    maximize = objective.direction == "maximize"
    if begin == 0:
        return (trial.running_max if maximize else trial.running_min)[end - 1]
    values = (trial.reports[place] for place in trial.finite_steps[begin:end])
    return max(values) if maximize else min(values)

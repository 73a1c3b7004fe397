"""A trial is hopeless when its remaining folds will hardly make its mean better than the best trial's.

The best complete trial and this one are compared on the same folds, so that a hard fold counts against neither, and the chance
that the rest turns the difference around is predicted: stochastic curtailment (Lan, Simon and Halperin 1982), with the
spread taken from the folds of all complete trials.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuning_operator.api.contract import STEPS_PER_FOLD
from tuning_operator.api.pruning import Validation
from tuning_operator.api.study import Objective
from tuning_operator.engine.facts import StudyFacts, Trial
from tuning_operator.engine.policies.pruning.rule import Judge, best_until, completed, never
from tuning_operator.engine.student import t_cdf

Scores = tuple[float, ...]
"""One for each fold from the first on, turned so that larger is better."""

_LEAST_TRIALS: Final = 3
"""Different complete trials without which the spread is not known."""

_STRICT_LEAST_FOLDS: Final = 2


_ROUNDING: Final = 1e-9
"""A spread that is no more than this share of the scores is none: of scores that trial and fold explain there is no chance."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """What a trial is compared with."""

    incumbent: Scores  # of the complete trial with the best mean
    spread: float  # residual standard deviation of a score, beside what its trial and its fold account for
    df: int  # degrees of freedom of the spread


def rule(facts: StudyFacts, validation: Validation) -> Judge:
    """Compare whole folds with those of the best complete trial, once three different ones are there.

    A fold is over, and counts, when the trial has reported one after it. A fold without a finite report ends the comparison:
    what is to become of such a trial is not decided by its folds.
    """
    objective = facts.spec.objective
    full = {
        tuple(trial.parameters.items()): scores
        for trial in completed(facts)
        if len(scores := fold_scores(trial, validation.folds, objective)) == validation.folds
    }
    if len(full) < _LEAST_TRIALS:
        return never
    field = field_of(tuple(full.values()))

    def hopeless(trial: Trial) -> bool:
        over = fold_scores(trial, min(trial.last_step // STEPS_PER_FOLD, validation.folds - 1), objective)
        return behind(over, field, strict=validation.strict_folds)

    return hopeless


def fold_scores(trial: Trial, folds: int, objective: Objective) -> Scores:
    """The best finite report of each of the first folds, up to the first one without any."""
    scores: list[float] = []
    for fold in range(folds):
        first = fold * STEPS_PER_FOLD
        best = best_until(trial, first + STEPS_PER_FOLD - 1, objective, since=first)
        if best is None:
            break
        scores.append(objective.sign * best)
    return tuple(scores)


def field_of(trials: Sequence[Scores]) -> Field:
    """The incumbent and the residual spread of the two-way layout of trials and folds, at least two of each."""
    folds = len(trials[0])
    trial_means = [statistics.fmean(scores) for scores in trials]
    fold_means = [statistics.fmean(scores) for scores in zip(*trials, strict=True)]
    mean = statistics.fmean(trial_means)
    df = (len(trials) - 1) * (folds - 1)
    squares = math.fsum(
        (score - trial_mean - fold_mean + mean) ** 2
        for scores, trial_mean in zip(trials, trial_means, strict=True)
        for score, fold_mean in zip(scores, fold_means, strict=True)
    )
    return Field(incumbent=max(trials, key=statistics.fmean), spread=math.sqrt(squares / df), df=df)


def behind(scores: Scores, field: Field, *, strict: bool) -> bool:
    """Whether the chance that the trial's mean over all folds passes the incumbent's is below the limit.

    Args:
        scores: of its first folds, not of all.
        field: what it is compared with.
        strict: it also has to be worse on each fold, and to have at least two: single outlier folds decide nothing.
    """
    differences = [mine - its for mine, its in zip(scores, field.incumbent, strict=False)]
    if strict and (len(differences) < _STRICT_LEAST_FOLDS or max(differences) >= 0):
        return False
    folds = len(field.incumbent)
    if not differences or field.spread <= _ROUNDING * max(map(abs, field.incumbent)):
        return False
    return chance(differences, field) < limit(folds)


def chance(differences: Sequence[float], field: Field) -> float:
    """The chance that the mean difference over all folds is above 0, given that of some."""
    done, folds = len(differences), len(field.incumbent)
    deviation = field.spread * math.sqrt(2 * (folds - done) / (folds * done))
    return t_cdf(statistics.fmean(differences) / deviation, field.df)


def limit(folds: int) -> float:
    """Below which chance a trial is given up: the fewer decisions a trial has to survive, the larger it may be."""
    return 0.02 if folds <= 5 else 0.01  # noqa: PLR2004 - the two ranges that the limits were measured for

"""How a fold's training ended, and what the folds say together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from tuning_client import Diagnosis


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One training's end.

    Args:
        metrics: of the best epoch; of the last where the training ended because they are not finite.
        best_epoch: counted from 1.
        epochs: that were trained.
        seconds: spent on it, over all attempts.
        diagnoses: what was wrong, the most telling first.
        warnings: sentences about its data.
    """

    metrics: Mapping[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    diagnoses: tuple[Diagnosis, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def diverged(self) -> bool:
        """Whether a loss or metric is not finite, which ends a training."""
        return not all(map(math.isfinite, self.metrics.values()))

    def state_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint keeps them."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The outcome of which `state_dict` was taken."""
        diagnoses = tuple(Diagnosis(**diagnosis) for diagnosis in state["diagnoses"])
        return cls(**{**state, "diagnoses": diagnoses, "warnings": tuple(state["warnings"])})


def summary(outcomes: Mapping[int, Outcome], objective: str) -> dict[str, float]:
    """The metrics of a result.

    Of several folds the mean of each metric, of the objective also the standard deviation (of a sample: n - 1) and each
    fold's value. A fold that diverged decides alone, and the objective is nan: a mean without it would praise
    parameters that fail on some of the data.

    Args:
        outcomes: by the number of their fold.
        objective: the study's metric.
    """
    diverged = next((outcome for outcome in outcomes.values() if outcome.diverged), None)
    if diverged:
        return _of_one(diverged) | {objective: math.nan}
    if len(outcomes) == 1:
        return _of_one(*outcomes.values())
    folds = {number: _of_one(outcome) for number, outcome in outcomes.items()}
    first, *_ = folds.values()
    means = {name: statistics.fmean(fold[name] for fold in folds.values()) for name in first}
    means["seconds"] *= len(folds)
    if objective in first:
        means[f"{objective}_stddev"] = statistics.stdev(fold[objective] for fold in folds.values())
        means |= {f"{objective}_fold_{number}": fold[objective] for number, fold in folds.items()}
    return means


def _of_one(outcome: Outcome) -> dict[str, float]:
    beside = {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "seconds": outcome.seconds}
    return {**outcome.metrics, **beside}


def diagnoses(outcomes: Sequence[Outcome]) -> tuple[Diagnosis, ...]:
    """What was wrong with the folds, each with the figure of the first that showed it.

    A fold that diverged speaks alone. Else a diagnosis that fewer than half of the folds have is luck of the split, and
    is left out.
    """
    diverged = [outcome for outcome in outcomes if outcome.diverged]
    speaking = diverged[:1] or outcomes
    shown: dict[str, list[Diagnosis]] = {}
    for outcome in speaking:
        for diagnosis in outcome.diagnoses:
            shown.setdefault(diagnosis.name, []).append(diagnosis)
    return tuple(first for first, *others in shown.values() if 2 * (1 + len(others)) >= len(speaking))


def warnings(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """The sentences about the data, those of the first fold that has any: of the others they differ in figures alone."""
    return next((outcome.warnings for outcome in outcomes if outcome.warnings), ())

"""The generalization gap of large batches: a diagnosis of two trials, not of one (Keskar et al. 2017, arXiv 1609.04836)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tuning_client import Diagnosis
from tuning_trainer.diagnosis.course import about, named

EQUAL_TRAINING: Final = 0.05
"""Share by which the training losses of the two may differ."""

DEVIATIONS: Final = 2.0
"""Standard deviations of a repeated training by which the validation must be worse."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A trial that has ended.

    Args:
        batch_size: the one setting in which it differs from the other, apart from the learning rate.
        learning_rate: of its steps.
        train_loss: at the end.
        validation: its objective, turned so that higher is better.
    """

    batch_size: int
    learning_rate: float
    train_loss: float
    validation: float


def large_batch_gap(first: Finished, second: Finished, *, deviation: float) -> Diagnosis | None:
    """Whether the trial with the larger batches learnt the training rows as well and the validation rows worse.

    Args:
        first: one of two trials that differ in their batch size.
        second: the other.
        deviation: standard deviation of the validation when a training is repeated with another seed, above 0.
    """
    small, large = sorted((first, second), key=lambda trial: trial.batch_size)
    if small.batch_size == large.batch_size:
        return None
    alike = abs(large.train_loss - small.train_loss) <= EQUAL_TRAINING * max(abs(small.train_loss), abs(large.train_loss))
    gap = (small.validation - large.validation) / deviation
    if not alike or not gap > DEVIATIONS:
        return None
    rate = large.learning_rate * (large.batch_size / small.batch_size) ** 0.5
    sentence = (
        f"batch_size {large.batch_size} learns the training rows as well as {small.batch_size} and is worse on the validation"
        f" rows by {gap:.2g} deviations of a repeated trial: use {small.batch_size},"
        f" or tune learning_rate anew from about {about(rate)}."
    )
    return named("large-batch-gap", sentence, gap, DEVIATIONS)

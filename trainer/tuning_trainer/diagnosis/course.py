"""The course of one training, and what several rules need to know of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from tuning_client import Diagnosis
from tuning_trainer.settings import Settings

Name = Literal[
    "diverged",
    "out-of-memory",
    "unscaled-features",
    "exploding-gradients",
    "vanishing-gradients",
    "learning-rate-too-low",
    "unstable",
    "learning-rate-too-high",
    "dead-units",
    "not-learning",
    "bad-start",
    "did-not-converge",
    "overfitting",
]

FEWEST_EPOCHS: Final = 10
"""A shorter training says nothing of how fast it learns."""

NO_BETTER: Final = 0.9
"""Share of a constant answer's loss from which on nothing has been learnt."""

_SMALLEST: Final = 1e-12

VANISHING: Final = 1e-2
"""Norm of the first layer's gradient by the last layer's."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What is known of a training before its first step.

    Args:
        settings: of the training; the advice names them.
        task: which losses and thresholds count.
        loss: of the first batch, before the first step.
        chance_loss: what the best constant answer costs on the training rows.
        outputs: of the network: classes, or 1.
        validation_rows: their number.
        feature_spread: times that the largest feature is larger than the smallest, where they are not scaled.
    """

    settings: Settings
    task: Literal["classification", "regression"]
    loss: float
    chance_loss: float
    outputs: int
    validation_rows: int
    feature_spread: float | None = None


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch showed. Losses are means over rows, in nats or of standardised targets; for the rest see `Figures`."""

    train_loss: float
    val_loss: float
    val_accuracy: float | None
    learning_rate: float
    train_accuracy: float | None = None
    gradient_norm_median: float | None = None
    gradient_norm_max: float | None = None
    first_layer_norm: float | None = None
    last_layer_norm: float | None = None
    update_ratio: float | None = None
    clipped: float | None = None
    dead_units: float | None = None


@dataclass(frozen=True)
class Course:
    """A training and what several rules need to know of it. Parts are counted in epochs of the training as it went."""

    beginning: Beginning
    epochs: tuple[Epoch, ...]

    @property
    def settings(self) -> Settings:
        """Of the training."""
        return self.beginning.settings

    @property
    def classification(self) -> bool:
        """Whether rows have classes."""
        return self.beginning.task == "classification"

    @property
    def long(self) -> bool:
        """Whether it went on long enough to be judged, and its losses are numbers."""
        return len(self.epochs) >= FEWEST_EPOCHS and all(math.isfinite(epoch.train_loss) for epoch in self.epochs)

    @cached_property
    def losses(self) -> list[float]:
        """Of the training rows, epoch by epoch."""
        return [epoch.train_loss for epoch in self.epochs]

    @property
    def chance_loss(self) -> float:
        """What the best constant answer costs; above 0, which it is not where all targets are equal."""
        return max(self.beginning.chance_loss, _SMALLEST)

    @property
    def first_loss(self) -> float:
        """Of the first batch, before the first step; above 0."""
        return max(self.beginning.loss, _SMALLEST)

    @property
    def guess_loss(self) -> float:
        """What a network costs that knows nothing yet: where some classes are rare, more than the best constant answer."""
        return max(self.chance_loss, math.log(self.beginning.outputs))

    @property
    def start(self) -> float:
        """The lower of the first batch's loss and a constant answer's: a bad start is no achievement to fall from."""
        return min(self.first_loss, self.chance_loss)

    def part(self, begin: float, end: float = 1.0) -> tuple[Epoch, ...]:
        """The epochs between two shares of the training; never none."""
        first, last = math.ceil(begin * len(self.epochs)), math.ceil(end * len(self.epochs))
        return self.epochs[min(first, len(self.epochs) - 1) : max(first + 1, last)]

    @cached_property
    def early_loss(self) -> float:
        """After 30 % of the training."""
        return self.part(0.3)[0].train_loss

    @cached_property
    def late_loss(self) -> float:
        """The lowest of the last 30 %."""
        return min(epoch.train_loss for epoch in self.part(0.7))

    @cached_property
    def first_by_last(self) -> float | None:
        """Median norm of the first layer's gradients by the last layer's; None of a single layer."""
        return median(
            epoch.first_layer_norm / epoch.last_layer_norm if epoch.last_layer_norm else None
            for epoch in self.epochs
            if epoch.first_layer_norm is not None
        )

    @cached_property
    def dead_units(self) -> float:
        """Share of the hidden units, when they were last looked at."""
        known = [epoch.dead_units for epoch in self.epochs if epoch.dead_units is not None]
        return known[-1] if known else 0.0

    @cached_property
    def vanishing(self) -> bool:
        """Whether the loss stood still for long and the first layer hardly heard of it."""
        stood_still = self.long and self.early_loss > NO_BETTER * self.start
        return stood_still and self.first_by_last is not None and self.first_by_last < VANISHING


def named(name: Name, sentence: str, figure: float, threshold: float | None) -> Diagnosis:
    """A diagnosis with a name of the list."""
    return Diagnosis(name, sentence, figure=figure, threshold=threshold)


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are known and finite; None when there are none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return statistics.median(known) if known else None


def about(value: float) -> str:
    """A number as people give advice: one digit, from 1 on two."""
    return f"{value:.1g}" if value < 1 else f"{float(f'{value:.2g}'):g}"

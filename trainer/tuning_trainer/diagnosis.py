"""What is wrong with a training, read from its series: one pure function, a chain of rules."""

from __future__ import annotations

from dataclasses import dataclass


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

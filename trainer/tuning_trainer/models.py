"""Networks, by name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import nn

from tuning_trainer.settings import Settings


def build(settings: Settings, *, features: int, classes: int) -> nn.Module:
    """The network that settings name: (rows, features) in, one logit per class (rows, classes) out."""
    match settings.model:
        case "mlp":
            return nn.Sequential(*_mlp(settings, features=features, classes=classes))


def _mlp(settings: Settings, *, features: int, classes: int) -> Iterator[nn.Module]:
    widths = [features, *[settings.hidden_units] * settings.layers]
    for inputs, outputs in pairwise(widths):
        yield nn.Linear(inputs, outputs)
        yield nn.ReLU()
        yield nn.Dropout(settings.dropout)
    yield nn.Linear(widths[-1], classes)

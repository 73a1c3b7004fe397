"""One split as plain tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tuning_trainer.data.search import load_search
from tuning_trainer.data.sources import Resident, Source
from tuning_trainer.settings import Settings


@dataclass(frozen=True)
class Rows:
    """Rows on the device: features (rows, width) float32, targets (rows,) int64."""

    features: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def width(self) -> int:
        """Features of one row."""
        return self.features.shape[1]


class Data(NamedTuple):
    """What a trial may see: never a test row."""

    training: Rows
    validation: Rows
    classes: int


def load(settings: Settings, device: torch.device) -> Data:
    """Training and validation rows of the first split, on the device."""
    fold = load_search(settings).fold(0, device)

    def rows(source: Source) -> Rows:
        assert isinstance(source, Resident)
        return Rows(*source.rows)

    return Data(rows(fold.training), rows(fold.validation), fold.problem.outputs)

"""Data sets, their splits and their scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from tuning_trainer.settings import Settings

TEST_SHARE: Final = 0.2
"""Share of all rows kept for the final evaluation of a study's winner."""

VALIDATION_SHARE: Final = 0.25
"""Share of the remaining rows: 60 % train, 20 % validate, 20 % test."""

# Not a setting: whoever could move the test rows could tune on them.
_TEST_SPLIT_SEED: Final = 20_000

Features = npt.NDArray[np.float32]
Targets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Rows with one class each: features (rows, width), targets (rows,)."""

    features: Features
    targets: Targets

    def split(self, *, share: float, seed: int) -> tuple[Table, Table]:
        """The rest and a share of the rows, both with the classes in their proportions."""
        parts = train_test_split(self.features, self.targets, test_size=share, random_state=seed, stratify=self.targets)
        rest, taken, rest_targets, taken_targets = parts
        return Table(rest, rest_targets), Table(taken, taken_targets)


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
    """Training and validation rows of a data set, scaled by the training rows alone, on the device.

    The split depends on `settings.split_seed` only, so that every trial of a study sees the same one.
    """
    search_rows, _test_rows = _read(settings).split(share=TEST_SHARE, seed=_TEST_SPLIT_SEED)
    training, validation = search_rows.split(share=VALIDATION_SHARE, seed=settings.split_seed)
    scaler = StandardScaler().fit(training.features)

    def on_device(table: Table) -> Rows:
        features = torch.from_numpy(scaler.transform(table.features))
        return Rows(features.to(device), torch.from_numpy(table.targets).to(device))

    return Data(on_device(training), on_device(validation), classes=int(search_rows.targets.max()) + 1)


def _read(settings: Settings) -> Table:
    match settings.dataset:
        case "digits":
            features, targets = load_digits(return_X_y=True)
    return Table(features.astype(np.float32), targets.astype(np.int64))

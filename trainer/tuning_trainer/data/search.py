"""Data as a search sees them: training and validation rows, fold by fold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from tuning_client import ConfigurationError
from tuning_trainer.data import origin
from tuning_trainer.data.fitting import Fitted, fit
from tuning_trainer.data.rows import Rows
from tuning_trainer.data.sources import Source
from tuning_trainer.data.splits import Split, splits
from tuning_trainer.data.targets import Target
from tuning_trainer.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Fold(Fitted):
    """Rows to learn from, rows to validate on, and what the former decided."""

    training: Source
    validation: Source


@dataclass(frozen=True)
class SearchData:
    """All rows that a search may see, none of them a test row, and how they are split."""

    rows: Rows
    target: Target
    splits: tuple[Split, ...]
    settings: Settings

    def fingerprint(self) -> str:
        """SHA-256 over the rows and how they are split."""
        digest = hashlib.sha256(self.rows.fingerprint().encode())
        for split in self.splits:
            for numbers in split:
                digest.update(len(numbers).to_bytes(8) + numbers.tobytes())
        return digest.hexdigest()

    def fold(self, index: int, device: torch.device) -> Fold:
        """One of the splits, prepared by its training rows.

        Raises:
            ConfigurationError: there is no such fold.
        """
        if not 0 <= index < len(self.splits):
            raise ConfigurationError(f"--folds: of {len(self.splits)} folds there is none of number {index}; give more of them")
        split = self.splits[index]
        training, validation = self.rows.take(split.training), self.rows.take(split.validation)
        fitted = fit(training, self.target, self.settings, device)
        return Fold(
            **vars(fitted),
            training=fitted.source(training, self.settings, device),
            validation=fitted.source(validation, self.settings, device),
        )


def load_search(settings: Settings) -> SearchData:
    """The rows of a search, split. Test rows are not read: of a bundled set they are dropped, a file's is not opened.

    Raises:
        ConfigurationError: a setting, the file or one of its columns is wrong.
    """
    rows, target = origin.search_rows(settings)
    return SearchData(rows, target, splits(rows, target, settings), settings)

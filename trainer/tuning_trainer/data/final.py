"""Data as the final evaluation sees them: all rows of the search to learn from, and the untouched test rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tuning_trainer.data import origin
from tuning_trainer.data.fitting import Fitted, fit
from tuning_trainer.data.rows import Rows
from tuning_trainer.data.sources import Source
from tuning_trainer.data.targets import Target
from tuning_trainer.settings import Settings


@dataclass(frozen=True)
class TestRows:
    """The test rows. `fingerprint` is a SHA-256 over the raw rows in order: scores of the same rows can be paired."""

    source: Source
    fingerprint: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class FinalData(Fitted):
    """All rows that the search trained and validated on, to learn from, and what they decided."""

    rows: Rows
    training: Source
    target: Target
    settings: Settings
    device: torch.device

    def fingerprint(self) -> str:
        """SHA-256 over the rows to learn from."""
        return self.rows.fingerprint()

    def test(self) -> TestRows:
        """The test rows, read now and not before.

        Raises:
            ConfigurationError: there are none, or they do not fit the others.
        """
        rows = origin.test_rows(self.settings, self.preparation, self.target)
        return TestRows(self.source(rows, self.settings, self.device), rows.fingerprint(), len(rows.targets))


def load_final(settings: Settings, device: torch.device) -> FinalData:
    """The rows to learn from; the test rows stay unread until `FinalData.test`.

    Raises:
        ConfigurationError: a setting, the file or one of its columns is wrong.
    """
    rows, target = origin.search_rows(settings)
    fitted = fit(rows, target, settings, device)
    return FinalData(
        **vars(fitted), rows=rows, training=fitted.source(rows, settings, device), target=target, settings=settings, device=device
    )

"""A world in which the test rows of the bundled data sets are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np

from tuning_trainer.data import bundled
from tuning_trainer.data.bundled import Bundled


@contextmanager
def lost_test_rows() -> Iterator[None]:
    """Every test row's features, and what a regression should answer, read as nan.

    Classes stay: they decide which rows are test rows.
    """
    read = bundled.read

    def read_without_test_rows(name: str) -> Bundled:
        whole = read(name)
        _, test = whole.row_numbers()
        features = whole.features.copy()
        features.iloc[test] = np.nan
        answers = whole.answers.copy()
        if whole.target.task == "regression":
            answers.iloc[test] = np.nan
        return replace(whole, features=features, answers=answers)

    with mock.patch.object(bundled, "read", read_without_test_rows):
        yield

"""The data sets that scikit-learn brings along, without their test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import train_test_split

from tuning_trainer.data.columns import kinds
from tuning_trainer.data.rows import RowNumbers, TableRows
from tuning_trainer.data.targets import Target, class_name

TEST_SHARE: Final = 0.2
"""Share of all rows kept for the final evaluation of a study's winner."""

# Not a setting: whoever could move the test rows could tune on them.
_TEST_SPLIT_SEED: Final = 20_000

_SETS: Final[Mapping[str, Callable[..., Any]]] = {
    "digits": load_digits,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "diabetes": load_diabetes,
}


@dataclass(frozen=True)
class Bundled:
    """A whole data set, test rows and all: for this module alone."""

    features: pd.DataFrame
    answers: pd.Series
    target: Target

    def part(self, numbers: RowNumbers) -> TableRows:
        """The rows of these numbers, and no trace of the others."""
        features = self.features.iloc[numbers].reset_index(drop=True)
        targets = self.answers.to_numpy(np.int64 if self.target.task == "classification" else np.float64)[numbers]
        return TableRows(features, kinds(features), targets, groups=None, impute=False)

    def row_numbers(self) -> tuple[RowNumbers, RowNumbers]:
        """Numbers of the rows of a search and of the test rows, the same in every study."""
        classes = self.answers if self.target.task == "classification" else None
        search, test = train_test_split(
            np.arange(len(self.answers)), test_size=TEST_SHARE, random_state=_TEST_SPLIT_SEED, stratify=classes
        )
        return search, test


def search_rows(name: str) -> tuple[TableRows, Target]:
    """The rows that a search may see; the others are dropped here, before anything is fitted or counted."""
    whole = read(name)
    search, _ = whole.row_numbers()
    return whole.part(search), whole.target


def test_rows(name: str) -> TableRows:
    """The rows that only the final evaluation sees."""
    whole = read(name)
    _, test = whole.row_numbers()
    return whole.part(test)


def read(name: str) -> Bundled:
    """The whole set, as scikit-learn has it."""
    bunch = _SETS[name](as_frame=True)
    regression = name == "diabetes"
    names = () if regression else tuple(class_name(word) for word in bunch.target_names.tolist())
    return Bundled(bunch.data, bunch.target, Target("regression" if regression else "classification", names))

"""What is to be predicted: which task that is, which classes there are, and what a constant answer would cost."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.class_weight import compute_class_weight

from tuning_client import ConfigurationError
from tuning_trainer.data.problem import Task

MOST_NUMBERED_CLASSES: Final = 20
"""Different whole numbers that are still taken for classes when nobody says what the target is."""

MOST_CLASSES: Final = 1_000
"""Different values of a target that are taken for classes at all."""

_ANSWERS: Final = (str, bytes, int, float, np.generic, pd.CategoricalDtype.type)

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Target:
    """What the answers are. `class_names` is empty for a regression."""

    task: Task
    class_names: tuple[str, ...] = ()

    @classmethod
    def recognised(cls, name: str, values: pd.Series, task: Literal["auto", "classification", "regression"]) -> Self:
        """What these answers, none of which is missing, are; what the setting says wins.

        Raises:
            ConfigurationError: they are not what the setting says, or all the same.
        """
        _refuse_no_answers(name, values)
        different = values.drop_duplicates().infer_objects()
        numeric = pd.api.types.is_numeric_dtype(different) and not pd.api.types.is_bool_dtype(different)
        if task == "regression" and not numeric:
            words = different[pd.to_numeric(different.astype(str), errors="coerce").isna()].astype(str)
            raise ConfigurationError(
                f"--task: 'regression' predicts numbers, but the target '{name}' holds {next(iter(words), 'words')!r}; "
                "give another --target or --task=classification"
            )
        if len(different) < 2:  # noqa: PLR2004
            raise ConfigurationError(
                f"--target: '{name}' has the same value in every row, so there is nothing to learn; give another"
            )
        if task == "regression" or (task == "auto" and numeric and _looks_continuous(different)):
            return cls("regression")
        if len(different) > MOST_CLASSES:
            raise ConfigurationError(
                f"--target: '{name}' has {len(different)} different values, too many for classes; "
                "give another, or --task=regression if they are numbers"
            )
        return cls("classification", tuple(map(class_name, different.sort_values())))

    @property
    def outputs(self) -> int:
        """Of a network that predicts it."""
        return len(self.class_names) if self.task == "classification" else 1

    def encoded(self, setting: str, values: pd.Series) -> Codes | Floats:
        """Numbers of the classes, or the answers in their own units.

        Raises:
            ConfigurationError: rows under this setting have an answer that those which are learnt from have not.
        """
        if self.task == "regression":
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
            if not np.isfinite(numbers).all():
                raise ConfigurationError(
                    f"{setting}: row {values.index[np.isfinite(numbers).argmin()] + 1} has no finite number to predict; mend it"
                )
            return cast("Floats", numbers)
        codes = pd.Index(self.class_names).get_indexer(values.map(class_name)).astype(np.int64)
        if (codes < 0).any():
            stranger = class_name(values.iloc[(codes < 0).argmax()])
            close = difflib.get_close_matches(stranger, self.class_names, n=1)
            remedy = f"is {close[0]!r} meant?" if close else "remove its rows"
            raise ConfigurationError(f"{setting}: class {stranger!r} does not occur in the rows that are learnt from; {remedy}")
        return cast("Codes", codes)


def _refuse_no_answers(name: str, values: pd.Series) -> None:
    """Refuse what is neither a number nor a class."""
    types = pd.api.types
    if types.is_datetime64_any_dtype(values) or types.is_timedelta64_dtype(values):
        raise ConfigurationError(
            f"--target: '{name}' holds dates such as {values.iloc[0]}; make them numbers, such as days since the first"
        )
    kinds = [values.dtype.type] if values.dtype != object else values.map(type).unique()
    strange = [kind.__name__ for kind in kinds if not issubclass(kind, _ANSWERS) or issubclass(kind, np.complexfloating)]
    if strange:
        raise ConfigurationError(
            f"--target: '{name}' holds neither numbers nor words but {strange[0]} values; write them as numbers or words"
        )


def class_name(value: object) -> str:
    """A class as people read it: 1 and 1.0 are the same."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _looks_continuous(different: pd.Series) -> bool:
    numbers = different.to_numpy(np.float64)
    return len(numbers) > MOST_NUMBERED_CLASSES or bool((numbers != np.round(numbers)).any())


def standardisation(targets: Floats) -> tuple[float, float]:
    """Mean and deviation of a regression's training rows."""
    return float(targets.mean()), float(targets.std()) or 1.0


def balanced_weights(targets: Codes, classes: int) -> Floats:
    """(classes,): rows / (classes x rows of the class), by scikit-learn."""
    return cast("Floats", compute_class_weight("balanced", classes=np.arange(classes), y=targets))


def constant_cost(targets: Codes, weights: Floats, *, smoothing: float = 0.0) -> float:
    """Weighted mean cross-entropy (nats) of the best answer that is the same for every row.

    Without weights (all 1) and smoothing this is the entropy of the classes' shares. torch's `cross_entropy` weights the
    smoothed labels too, and divides by the weights of the true classes.
    """
    classes = len(weights)
    shares = np.bincount(targets, minlength=classes) / len(targets)
    masses = weights * ((1 - smoothing) * shares + smoothing / classes) / (weights @ shares)
    present = masses[masses > 0]
    return float(-(present * np.log(present / present.sum())).sum())

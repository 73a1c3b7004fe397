"""A fitted preparation: kept as plain values, applied again to raw rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from tests.support.tables import everything, file_settings, first_fold, people

from tuning_client import ConfigurationError
from tuning_trainer.data import Preparation
from tuning_trainer.data.scaling import Scaling
from tuning_trainer.settings import Settings


def saved_and_loaded(preparation: Preparation) -> Preparation:
    """Through JSON and two arrays, as a saved model keeps it."""
    state = dict(preparation.state())
    arrays = {name: state.pop(name) for name in ("offset", "scale")}
    return Preparation.from_state(json.loads(json.dumps(state)) | arrays)


@pytest.mark.parametrize("missing", ["refuse", "impute"])
def test_a_preparation_that_was_saved_prepares_as_before(tmp_path: Path, missing: str) -> None:
    fold = first_fold(file_settings(people(), tmp_path, missing=missing))
    table = people(50, seed=3)
    if missing == "impute":
        table.loc[::3, "age"] = np.nan
        table.loc[1::3, "colour"] = None
    np.testing.assert_array_equal(saved_and_loaded(fold.preparation).apply(table), fold.preparation.apply(table))


SCALERS = {"standard": StandardScaler(), "minmax": MinMaxScaler(), "robust": RobustScaler()}


@pytest.mark.parametrize("scaling", SCALERS)
def test_features_are_scaled_as_scikit_learn_does(scaling: str) -> None:
    rows = np.random.default_rng(0).normal([0, 1e6, 5, 3], [1, 1e-3, 0, 40], (50, 4))
    fitted = Scaling.fitted(rows, scaling)  # type: ignore[arg-type]
    np.testing.assert_allclose(fitted.apply(rows), SCALERS[scaling].fit_transform(rows), rtol=1e-6, atol=1e-6)


def test_without_scaling_features_are_as_they_were() -> None:
    rows = np.array([[1.0, 1e6], [2.0, -3.0]])
    assert Scaling.fitted(rows, "none").apply(rows).tolist() == rows.tolist()


def test_an_array_is_taken_in_the_order_of_the_columns() -> None:
    fold = first_fold(Settings(dataset="wine"))
    raw = np.arange(26.0).reshape(2, 13)
    names = [column["name"] for column in fold.preparation.state()["columns"]]
    np.testing.assert_array_equal(fold.preparation.apply(raw), fold.preparation.apply(pd.DataFrame(raw, columns=names)))


def test_columns_may_stand_in_any_order_and_among_others(tmp_path: Path) -> None:
    fold = first_fold(file_settings(people(), tmp_path))
    np.testing.assert_array_equal(
        fold.preparation.apply(people()[["colour", "price", "height", "age"]]), fold.preparation.apply(people())
    )


REFUSALS: dict[str, tuple[object, str]] = {
    "a column that is missing": (people().drop(columns="age"), "column 'age' is missing; the model was trained with it"),
    "a missing value": (people().assign(age=np.nan), "column 'age' has no value in 40 rows; fill them in, or train with"),
    "a word for a number": (people().assign(age="old"), "column 'age' holds other values than the numbers"),
    "an array of another width": (np.zeros((2, 7)), r"rows of shape \(7,\) were given, the model knows rows of \(3,\)"),
}


@pytest.mark.parametrize(("raw", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, raw: object, sentence: str) -> None:
    fold = first_fold(file_settings(people(), tmp_path))
    with pytest.raises(ConfigurationError, match=sentence):
        saved_and_loaded(fold.preparation).apply(raw)


def test_large_numbers_that_differ_little_keep_their_difference(tmp_path: Path) -> None:
    table = people().assign(age=lambda table: 1_700_000_000 + np.arange(len(table)))
    inputs, _ = everything(first_fold(file_settings(table, tmp_path)).training)
    assert len(inputs[:, 0].unique()) == len(inputs)

"""Tables in files: what is read, what is made of it, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.support.tables import CPU, everything, file_settings, first_fold, people, write

from tuning_client import ConfigurationError
from tuning_trainer import data
from tuning_trainer.data import columns
from tuning_trainer.settings import Settings


def numbers_only() -> pd.DataFrame:
    return people()[["age", "height", "ill"]]


def as_arrays(table: pd.DataFrame, path: Path, target: str = "y", **arrays: Any) -> Path:
    np.savez(path, X=table[["age", "height"]].to_numpy(), **{target: table["ill"].to_numpy(str)}, **arrays)
    return path


def test_a_table_is_the_same_from_every_format(tmp_path: Path) -> None:
    table = numbers_only()
    paths = [write(table, tmp_path / f"t{suffix}") for suffix in (".csv", ".parquet")] + [as_arrays(table, tmp_path / "t.npz")]
    folds = [first_fold(Settings(dataset="file", path=str(path), target="ill")) for path in paths]
    assert len({fold.problem for fold in folds}) == 1
    for fold in folds[1:]:
        for one, other in zip(everything(fold.training), everything(folds[0].training), strict=True):
            assert torch.equal(one, other)


def test_a_target_array_is_found_by_the_targets_name(tmp_path: Path) -> None:
    table = numbers_only()
    path = as_arrays(table, tmp_path / "t.npz", target="ill", y=np.zeros(len(table)))
    assert first_fold(Settings(dataset="file", path=str(path), target="ill")).problem.class_names == ("no", "yes")


def test_an_array_of_groups_keeps_groups_together(tmp_path: Path) -> None:
    groups = np.arange(40) // 4
    path = as_arrays(numbers_only(), tmp_path / "t.npz", patient=groups)
    search = data.load_search(Settings(dataset="file", path=str(path), group="patient"))
    (split,) = search.splits
    assert not set(groups[split.training]) & set(groups[split.validation])


def test_target_groups_and_ignored_columns_are_no_features(tmp_path: Path) -> None:
    fold = first_fold(file_settings(people(), tmp_path, group="patient", ignore="price, colour"))
    assert fold.problem.input_shape == (2,)


def test_columns_become_numbers_and_zeros_and_ones(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "size": [1.5, 2.5] * 10,
            "open": [True, False] * 10,
            "colour": ["red", "red", "blue", "green"] * 5,
            "target": ["a", "b"] * 10,
        }
    )
    fold = first_fold(file_settings(table, tmp_path, target="target", ignore="", scaling="none"))
    encoded = fold.preparation.apply(table.iloc[:4])
    assert encoded.tolist() == [[1.5, 1, 0, 0, 1], [2.5, 0, 0, 0, 1], [1.5, 1, 1, 0, 0], [2.5, 0, 0, 1, 0]]


NUMBERS = {
    "truths with a gap": [True, None, False, True],
    "truths of a nullable kind": pd.array([True, None, False, True], "boolean"),
    "whole numbers with a gap": [1, None, 0, 1],
    "whole numbers of a nullable kind": pd.array([1, None, 0, 1], "Int64"),
    "fractions of Arrow": pd.array([1, None, 0, 1], "float64[pyarrow]"),
}


@pytest.mark.parametrize("values", NUMBERS.values(), ids=NUMBERS)
def test_numbers_of_any_kind_are_numbers(tmp_path: Path, values: object) -> None:
    table = pd.DataFrame({"x": values, "y": ["a", "a", "b", "b"]})
    path = write(pd.concat([table] * 5), tmp_path / "t.parquet")
    settings = Settings(dataset="file", path=str(path), target="y", missing="impute", scaling="none")
    assert first_fold(settings).preparation.apply(table)[:, 0].tolist() == [1, 1, 0, 1]


def test_a_column_that_is_declared_as_categories_is_no_number() -> None:
    assert columns.kinds(pd.DataFrame({"x": [1, 2], "y": pd.Categorical([1, 2])})) == {"x": "number", "y": "category"}


def test_categories_are_not_scaled(tmp_path: Path) -> None:
    inputs, _ = everything(first_fold(file_settings(people(), tmp_path)).training)
    assert set(inputs[:, 2:].unique().tolist()) == {0.0, 1.0}
    assert (inputs[:, 2:].sum(dim=1) == 1).all()


def test_an_unseen_category_is_no_category(tmp_path: Path) -> None:
    fold = first_fold(file_settings(people(), tmp_path))
    stranger = people().iloc[:1].assign(colour="ultraviolet")
    assert fold.preparation.apply(stranger)[0, 2:].tolist() == [0, 0, 0]


def test_each_fold_has_the_categories_of_its_own_training_rows(tmp_path: Path) -> None:
    table = people()
    table["colour"] = ["red", "blue"] * 18 + ["green"] * 4
    search = data.load_search(file_settings(table, tmp_path, folds=10, group="patient"))
    folds = [search.fold(index, CPU) for index in range(10)]
    without_green = [index for index, split in enumerate(search.splits) if 36 in split.validation]
    assert [index for index, fold in enumerate(folds) if fold.problem.input_shape == (4,)] == without_green
    assert [fold.problem.input_shape for fold in folds].count((5,)) == 9


def with_gaps() -> pd.DataFrame:
    table = people()
    table.loc[[3, 7], "age"] = np.nan
    table.loc[5, "colour"] = None
    return table


def test_missing_values_are_replaced_by_what_the_training_rows_have(tmp_path: Path) -> None:
    settings = file_settings(with_gaps(), tmp_path, missing="impute", scaling="none")
    search = data.load_search(settings)
    fold = search.fold(0, CPU)
    training = with_gaps().iloc[search.splits[0].training]
    (filled,) = fold.preparation.apply(pd.DataFrame({"age": [np.nan], "height": [1.0], "colour": [None]}))
    commonest = sorted(training["colour"].dropna().unique()).index(training["colour"].mode()[0])
    assert filled[0] == training["age"].median()
    assert filled[2:].tolist() == [float(number == commonest) for number in range(3)]
    assert torch.isfinite(everything(fold.training)[0]).all()
    assert torch.isfinite(everything(fold.validation)[0]).all()


def test_rows_with_missing_values_are_dropped_on_request(tmp_path: Path) -> None:
    fold = first_fold(file_settings(with_gaps(), tmp_path, missing="drop"))
    assert len(fold.training) + len(fold.validation) == 37


def test_gaps_in_ignored_columns_do_not_matter(tmp_path: Path) -> None:
    table = people()
    table["price"] = np.nan
    assert len(first_fold(file_settings(table, tmp_path)).training) == 30


def test_a_column_without_any_value_in_a_folds_training_rows_is_zero(tmp_path: Path) -> None:
    table = people()
    table["age"] = [np.nan] * 36 + [1.0] * 4
    search = data.load_search(file_settings(table, tmp_path, missing="impute", group="patient", folds=10))
    (index,) = [index for index, split in enumerate(search.splits) if 36 in split.validation]
    inputs, _ = everything(search.fold(index, CPU).training)
    assert (inputs[:, 0] == 0).all()


def test_a_constant_column_is_zero_and_stays(tmp_path: Path) -> None:
    fold = first_fold(file_settings(people().assign(age=7), tmp_path))
    assert fold.problem.input_shape == (5,)
    assert (everything(fold.training)[0][:, 0] == 0).all()


def test_features_of_very_different_scale_are_warned_of_when_nothing_scales_them(tmp_path: Path) -> None:
    table = people().assign(age=lambda table: table["age"] * 1_000)
    fold = first_fold(file_settings(table, tmp_path, scaling="none"))
    (warning,) = fold.warnings
    assert fold.spread is not None
    assert fold.spread.ratio > 100
    assert f"{fold.spread.ratio:.4g} times" in warning
    assert "'age' reaches" in warning
    assert fold.spread.smallest[0] in warning
    assert "--scaling=standard" in warning


@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust"])
def test_nothing_is_warned_of_when_features_are_scaled(tmp_path: Path, scaling: str) -> None:
    table = people().assign(age=lambda table: table["age"] * 1_000)
    assert first_fold(file_settings(table, tmp_path, scaling=scaling)).warnings == ()


def test_nothing_is_warned_of_when_features_are_of_one_scale(tmp_path: Path) -> None:
    assert first_fold(file_settings(people(), tmp_path, scaling="none")).warnings == ()


def with_ill(rows: int) -> pd.DataFrame:
    """Of four hundred."""
    return people(400).assign(ill=["yes"] * rows + ["no"] * (400 - rows))


def test_a_class_that_is_rare_is_warned_of(tmp_path: Path) -> None:
    (warning,) = first_fold(file_settings(with_ill(16), tmp_path)).warnings
    assert warning.startswith("class 'yes' has 4.00% of the training rows, class 'no' 96.00%")
    assert "val_balanced_accuracy" in warning
    assert "--class-weights=balanced" in warning


def test_a_rare_class_that_has_weight_and_one_that_is_hardly_rare_are_not_warned_of(tmp_path: Path) -> None:
    assert first_fold(file_settings(with_ill(16), tmp_path, class_weights="balanced")).warnings == ()
    assert first_fold(file_settings(with_ill(40), tmp_path)).warnings == ()


def test_weights_of_classes_are_the_heavier_the_rarer(tmp_path: Path) -> None:
    table = people().assign(ill=["yes"] * 8 + ["no"] * 32)
    fold = first_fold(file_settings(table, tmp_path, class_weights="balanced"))
    assert fold.class_weights is not None
    assert fold.class_weights.tolist() == [0.625, 2.5]
    assert fold.chance_loss == pytest.approx(np.log(2))
    assert first_fold(file_settings(table, tmp_path)).class_weights is None


def test_a_regressions_targets_are_standardised_by_the_training_rows(tmp_path: Path) -> None:
    settings = file_settings(people(), tmp_path, target="price", ignore="ill,patient")
    search = data.load_search(settings)
    fold = search.fold(0, CPU)
    prices = people()["price"].to_numpy()
    mean, deviation = fold.target_scale
    assert (mean, deviation) == (prices[search.splits[0].training].mean(), prices[search.splits[0].training].std())
    _, targets = everything(fold.validation)
    np.testing.assert_allclose(targets * deviation + mean, prices[search.splits[0].validation], rtol=1e-6)
    assert fold.chance_loss == pytest.approx(1)


REFUSALS: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "a target that is no column": ({"target": "prise"}, {}, "--target: 'prise' is no column of train.csv; did you mean 'price'?"),
    "a target a little like a column": (
        {"target": "target"},
        {},
        "--target: 'target' is no column of train.csv; its columns are age,",
    ),
    "a target like no column": ({"target": "zzz"}, {}, "--target: 'zzz' is no column of train.csv; its columns are age, height,"),
    "a group that is no column": (
        {"group": "patent"},
        {},
        "--group: 'patent' is no column of train.csv; did you mean 'patient'?",
    ),
    "nothing but the target": (
        {"ignore": "age,height,colour,patient,price"},
        {},
        "--path: train.csv has no column beside the target",
    ),
    "a missing value": (
        {},
        {"age": [1.0, 2.0, np.nan] + [3.0] * 37},
        "--path: column 'age' has no value in row 3; give --missing=impute or --missing=drop, or fill it in",
    ),
    "missing values": (
        {},
        {"age": [np.nan] * 2 + [3.0] * 38},
        "--path: column 'age' has no value in 2 rows, the first of them row 1;",
    ),
    "a column without any value": (
        {"missing": "impute"},
        {"age": np.nan},
        "--path: column 'age' has no value in any row; leave it out with --ignore=age",
    ),
    "an infinite value": (
        {},
        {"age": [1.0, np.inf] * 20},
        "--path: column 'age' is infinite in 20 rows, the first of them row 2;",
    ),
    "a target without a value": (
        {"missing": "impute"},
        {"ill": ["yes", None] * 20},
        "--path: the target 'ill' has no value in 20 rows, the first of them row 2; remove such rows",
    ),
    "an infinite target": (
        {"target": "price", "ignore": "patient,ill"},
        {"price": [1.5, np.inf] + [2.5] * 38},
        "--path: column 'price' is infinite in row 2;",
    ),
    "a group without a value": (
        {"group": "patient"},
        {"patient": ["p", None] * 20},
        "--group: 'patient' has no value in 20 rows, the first of them row 2; fill it in",
    ),
    "nothing left": (
        {"missing": "drop"},
        {"age": [1, np.nan] * 20, "height": [np.nan, 1] * 20},
        "--missing: 'drop' leaves no row of 40;",
    ),
    "dates": (
        {},
        {"colour": [f"2026-01-{day:02}" for day in range(1, 21)] * 2},
        "--path: column 'colour' holds dates such as 2026-01-01; make them numbers",
    ),
    "free text": (
        {},
        {"colour": [f"remark {number}" for number in range(40)]},
        "--path: column 'colour' holds 40 different texts in 40 rows, too many for categories; leave it out",
    ),
    "a word among numbers": (
        {},
        {"age": ["unknown", *map(str, range(39))]},
        "--path: column 'age' holds 'unknown' among its numbers; leave such cells empty",
    ),
    "a regression of words": (
        {"task": "regression"},
        {},
        "--task: 'regression' predicts numbers, but the target 'ill' holds 'no'; give another --target or --task=classification",
    ),
    "one answer alone": ({}, {"ill": "yes"}, "--target: 'ill' has the same value in every row"),
    "weights without classes": (
        {"target": "price", "ignore": "patient,ill", "class_weights": "balanced"},
        {},
        "--class-weights: 'balanced' needs classes, and the target holds numbers; give none",
    ),
}


@pytest.mark.parametrize(("settings", "changed", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_a_table_that_cannot_be_learnt_is_refused(
    tmp_path: Path, settings: dict[str, object], changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        first_fold(file_settings(people().assign(**changed), tmp_path, **settings))
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


INDEXES: dict[str, tuple[str, list[int]]] = {
    "as pandas writes it": ("", list(range(40))),
    "read and written again": ("Unnamed: 0", list(range(40))),
    "of rows that were shuffled": ("", [number * 7 % 40 for number in range(40)]),
}


@pytest.mark.parametrize(("name", "index"), INDEXES.values(), ids=INDEXES)
def test_numbers_of_rows_are_no_feature(tmp_path: Path, name: str, index: list[int]) -> None:
    table = numbers_only()
    table.insert(0, name, index)
    settings = file_settings(table, tmp_path, ignore="")
    sentence = "--path: column 'Unnamed: 0' of train.csv numbers the rows, as pandas writes its index; write the file with"
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        first_fold(settings)
    assert first_fold(replace(settings, ignore="Unnamed: 0")).problem.input_shape == (2,)


def test_a_column_without_a_name_that_numbers_no_rows_is_a_feature(tmp_path: Path) -> None:
    table = numbers_only()
    table.insert(0, "", [1, 2] * 20)
    assert first_fold(file_settings(table, tmp_path, ignore="")).problem.input_shape == (3,)


LARGE: dict[str, tuple[dict[str, object], int]] = {
    "among the training rows": ({}, 0),
    "among the validation rows": ({}, -1),
    "without scaling": ({"scaling": "none"}, 0),
    "scaled to a range": ({"scaling": "minmax"}, -1),
    "scaled by quartiles": ({"scaling": "robust"}, 0),
}


@pytest.mark.parametrize(("settings", "row"), LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("large", ["age", "price"])
def test_a_number_too_large_is_refused_by_its_column(tmp_path: Path, settings: dict[str, object], row: int, large: str) -> None:
    table = people()[["age", "height", "price"]].astype(float)
    table.loc[table.index[row], large] = -1e300
    told = file_settings(table, tmp_path, target="price", split="time", **settings)
    with pytest.raises(ConfigurationError, match=rf"'{large}' holds numbers as large as 1e\+300, too large to be learnt"):
        first_fold(replace(told, ignore=""))


def test_rows_of_the_search_are_no_test_rows(tmp_path: Path) -> None:
    test_path = str(tmp_path / "train.csv")
    with pytest.raises(ConfigurationError, match="is --path too; give rows that no search has seen"):
        data.load_search(file_settings(people(), tmp_path, test_path=test_path))


FILES: dict[str, tuple[str, bytes, str]] = {
    "no file": ("gone.csv", b"", "--path: {path} does not exist;"),
    "an unknown format": ("table.txt", b"a,b", "--path: {path} is no .csv, .parquet, .npz file;"),
    "an empty file": ("table.csv", b"", "--path: table.csv cannot be read as .csv"),
    "a header alone": ("table.csv", b"a,target\n", "--path: table.csv has no rows"),
    "a torn table": ("table.csv", b"a,target\n1,2\n1,2,3,4\n", "--path: table.csv cannot be read as .csv"),
    "no text": ("table.csv", b"a,target\n\xff\xfe,1\n", "--path: table.csv is not text in UTF-8; save it so"),
    "a name that occurs twice": ("table.csv", b"a,a,target\n1,2,3\n", "--path: column 'a' occurs twice in table.csv; rename one"),
    "semicolons": ("table.csv", b"a;target\n1;2\n", "--path: table.csv has its values separated by ';'; save it with commas"),
    "a column without a name": (
        "table.csv",
        b"a,target\n1,2,3\n4,5,6\n",
        "--path: table.csv has more values in a row than names",
    ),
    "no parquet": ("table.parquet", b"a,target\n1,2\n", "--path: table.parquet cannot be read as .parquet"),
    "no archive": ("table.npz", b"a,target\n1,2\n", "--path: table.npz cannot be read as .npz"),
}


@pytest.mark.parametrize(("name", "content", "sentence"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    if not name.startswith("gone"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        data.load_search(Settings(dataset="file", path=str(tmp_path / name)))
    assert str(refused.value).startswith(sentence.format(path=repr(str(tmp_path / name))))
    assert "\n" not in str(refused.value)


ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "no features": ({"a": np.zeros(3)}, "--path: t.npz has no array X of (rows, features) but a; save it so"),
    "features in three dimensions": (
        {"X": np.zeros((3, 2, 2)), "y": np.zeros(3)},
        "--path: t.npz has no array X of (rows, features) but one of shape (3, 2, 2); save it so",
    ),
    "no target": ({"X": np.zeros((3, 2))}, "--target: 'target' is no array of t.npz with one value for each row of X"),
    "a target of other length": ({"X": np.zeros((3, 2)), "y": np.zeros(4)}, "--target: 'target' is no array of t.npz"),
    "pickled objects": (
        {"X": np.zeros((3, 2)), "y": np.array(["a", None, 1], object)},
        "--path: t.npz cannot be read as .npz (Object arrays cannot be loaded",
    ),
}


@pytest.mark.parametrize(("arrays", "sentence"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_are_no_table_are_refused(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(ConfigurationError) as refused:
        data.load_search(Settings(dataset="file", path=str(tmp_path / "t.npz")))
    assert str(refused.value).startswith(sentence)


PARQUET: dict[str, tuple[object, str]] = {
    "dates": (pd.date_range("2026-01-01", periods=40), "--path: column 'age' holds dates such as 2026-01-01 00:00:00;"),
    "numbers that are declared as words": (
        [str(number) for number in range(40)],
        "--path: column 'age' holds 40 different texts in 40 rows, too many for categories; leave it out",
    ),
    "lists": ([[1, 2]] * 40, "--path: column 'age' holds neither numbers nor words but ndarray values"),
}


@pytest.mark.parametrize(("column", "sentence"), PARQUET.values(), ids=PARQUET)
def test_columns_of_other_kinds_are_refused(tmp_path: Path, column: object, sentence: str) -> None:
    path = write(numbers_only().assign(age=column), tmp_path / "t.parquet")
    with pytest.raises(ConfigurationError) as refused:
        data.load_search(Settings(dataset="file", path=str(path), target="ill"))
    assert str(refused.value).startswith(sentence)


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a path that is not read": (
        {"path": "t.csv"},
        "--path: 't.csv' is not read with --dataset=digits; give --dataset=file or images",
    ),
    "a test path that is not read": ({"test_path": "t.csv"}, "--test-path: 't.csv' is not read with --dataset=digits"),
    "a group of a set without columns": ({"group": "patient"}, "--group: 'patient' names a column, and digits has none by name"),
    "a column to ignore in one": ({"ignore": "age"}, "--ignore: 'age' names a column, and digits has none by name"),
    "a file without its path": ({"dataset": "file"}, "--path: is empty; give the file or folder to read"),
}


@pytest.mark.parametrize(("settings", "sentence"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_settings_that_contradict_the_data_set_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        data.load_search(Settings(**settings))
    assert str(refused.value).startswith(sentence)

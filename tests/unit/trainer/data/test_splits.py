"""Which rows train and which validate."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.support.tables import CPU, file_settings, paint, people

from tuning_client import ConfigurationError
from tuning_trainer import data
from tuning_trainer.data import Split
from tuning_trainer.settings import Settings


def splits(settings: Settings) -> tuple[Split, ...]:
    return data.load_search(settings).splits


def same(left: tuple[Split, ...], right: tuple[Split, ...]) -> bool:
    return all(np.array_equal(a, b) for one, other in zip(left, right, strict=True) for a, b in zip(one, other, strict=True))


TRIALS = {
    "another learning rate": {"learning_rate": 0.5},
    "another scaling": {"scaling": "robust"},
    "another batch size": {"batch_size": 3},
    "another model": {"model": "linear"},
}
METHODS: dict[str, dict[str, object]] = {
    "stratified": {},
    "shuffled": {"split": "shuffled"},
    "grouped": {"group": "patient"},
    "time": {"split": "time"},
    "stratified folds": {"folds": 4},
    "shuffled folds of a regression": {"folds": 4, "target": "price", "ignore": "patient,ill"},
    "grouped folds": {"folds": 4, "group": "patient"},
    "grouped folds of a regression": {"folds": 4, "group": "patient", "target": "price", "ignore": "ill"},
    "folds by time": {"folds": 4, "split": "time"},
}
RANDOM = [name for name in METHODS if "time" not in name]
EACH_ONCE = [name for name in METHODS if "folds" in name and "time" not in name]


@pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_all_trials_of_a_study_have_the_same_split(tmp_path: Path, method: dict[str, object], trial: dict[str, object]) -> None:
    plain, changed = file_settings(people(), tmp_path, **method), file_settings(people(), tmp_path, **method, **trial)
    assert same(splits(plain), splits(changed))


@pytest.mark.parametrize("name", RANDOM)
def test_another_split_seed_is_another_split(tmp_path: Path, name: str) -> None:
    assert not same(
        splits(file_settings(people(), tmp_path, **METHODS[name])),
        splits(file_settings(people(), tmp_path, **METHODS[name], split_seed=1)),
    )


@pytest.mark.parametrize("name", METHODS)
def test_no_row_trains_and_validates_in_one_fold(tmp_path: Path, name: str) -> None:
    for split in splits(file_settings(people(), tmp_path, **METHODS[name])):
        assert not set(split.training) & set(split.validation)


@pytest.mark.parametrize("name", EACH_ONCE)
def test_each_row_validates_in_exactly_one_fold(tmp_path: Path, name: str) -> None:
    made = splits(file_settings(people(), tmp_path, **METHODS[name]))
    assert len(made) == 4
    assert sorted(np.concatenate([split.validation for split in made])) == list(range(40))
    assert all(len(split.training) + len(split.validation) == 40 for split in made)


@pytest.mark.parametrize("name", [name for name in METHODS if "grouped" in name])
def test_no_group_is_on_both_sides(tmp_path: Path, name: str) -> None:
    patients = people()["patient"].to_numpy()
    for split in splits(file_settings(people(), tmp_path, **METHODS[name])):
        assert not set(patients[split.training]) & set(patients[split.validation])


@pytest.mark.parametrize("name", [name for name in METHODS if "time" in name])
def test_rows_that_validate_are_later_than_those_that_train(tmp_path: Path, name: str) -> None:
    for split in splits(file_settings(people(), tmp_path, **METHODS[name])):
        assert split.training.max() < split.validation.min()


def test_one_split_by_time_validates_on_the_last_share(tmp_path: Path) -> None:
    (split,) = splits(file_settings(people(), tmp_path, split="time", validation_share=0.1))
    assert split.validation.tolist() == [36, 37, 38, 39]


def test_stratified_folds_have_the_classes_in_their_shares(tmp_path: Path) -> None:
    table = people(80)
    table["ill"] = np.where(np.arange(80) % 8, "no", "yes")
    for split in splits(file_settings(table, tmp_path, folds=5)):
        assert Counter(table["ill"].to_numpy()[split.validation]) == {"no": 14, "yes": 2}


def rare(table_rows: int = 40, rows_of_rare: int = 3) -> dict[str, list[str]]:
    return {"ill": ["rare"] * rows_of_rare + ["common"] * (table_rows - rows_of_rare)}


REFUSALS: dict[str, tuple[dict[str, object], dict[str, list[str]], str]] = {
    "more folds than rows": ({"folds": 41}, {}, "--folds: 41 is more than the 40 rows; give --folds=40 or fewer"),
    "more folds than rows of a class": (
        {"folds": 5},
        rare(),
        "--folds: 5 is more than the 3 rows of class 'rare'; give --folds=3 or more such rows",
    ),
    "a class of one row": ({}, rare(rows_of_rare=1), "--target: class 'rare' has 1 row, too few"),
    "a fold without a class": (
        {"folds": 4, "split": "time"},
        {"ill": ["no"] * 30 + ["yes"] * 10},
        "--split: the training rows of fold 0 have none of class 'yes'; give --split=stratified",
    ),
    "a split without a class": (
        {"split": "time"},
        {"ill": ["yes"] * 2 + ["no"] * 38},
        "--split: the validation rows have none of class 'yes'",
    ),
    "more folds than groups": (
        {"folds": 11, "group": "patient"},
        {},
        "--group: 'patient' has 10 of the 11 groups that a split needs; give --folds=10",
    ),
    "one group alone": (
        {"group": "patient"},
        {"patient": ["p"] * 40},
        "--group: 'patient' has 1 of the 2 groups that a split needs; give another column",
    ),
    "groups that the split would tear apart": (
        {"group": "patient", "split": "stratified"},
        {},
        "--group: 'patient' would be torn apart by --split=stratified; give --split=grouped or no --group",
    ),
    "a grouped split without groups": ({"split": "grouped"}, {}, "--split: 'grouped' needs the column of the groups"),
    "a stratified regression": (
        {"split": "stratified", "target": "price", "ignore": "patient,ill"},
        {},
        "--split: 'stratified' needs classes, but the target holds numbers; give --split=shuffled",
    ),
    "a share that leaves no row": (
        {"validation_share": 0.01, "target": "ill"},
        {},
        "--validation-share: 0.01 of 40 rows are too few for one part",
    ),
}


@pytest.mark.parametrize(("settings", "columns", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_split_is_refused(
    tmp_path: Path, settings: dict[str, object], columns: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        data.load_search(file_settings(people().assign(**columns), tmp_path, **settings))
    assert str(refused.value).startswith(sentence)
    assert "; " in str(refused.value)


def test_a_bundled_set_has_no_order_of_time() -> None:
    with pytest.raises(ConfigurationError, match="--split: 'time' needs rows in the order of time, which wine has not"):
        data.load_search(Settings(dataset="wine", split="time"))


def test_images_are_split_by_class(tmp_path: Path) -> None:
    folder = paint(tmp_path / "pictures", {"cats": 8, "dogs": 4})
    search = data.load_search(Settings(dataset="images", path=str(folder), folds=4))
    for split in search.splits:
        assert Counter(search.rows.targets[split.validation].tolist()) == {0: 2, 1: 1}


def test_a_fold_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    search = data.load_search(file_settings(people(), tmp_path, folds=3))
    with pytest.raises(ConfigurationError, match="--folds: of 3 folds there is none of number 3"):
        search.fold(3, CPU)


def test_a_fingerprint_is_of_rows_and_split(tmp_path: Path) -> None:
    def fingerprint(table: pd.DataFrame, **settings: object) -> str:
        return data.load_search(file_settings(table, tmp_path, **settings)).fingerprint()

    regrouped = people().assign(patient=[f"p{row // 5}" for row in range(40)])
    assert fingerprint(people()) == fingerprint(people())
    different = (
        fingerprint(people()),
        fingerprint(people(seed=1)),
        fingerprint(people(), split_seed=1),
        fingerprint(people(), folds=4),
    )
    assert len(set(different)) == 4
    assert fingerprint(people(), group="patient") != fingerprint(regrouped, group="patient")

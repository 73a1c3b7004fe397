"""The final evaluation: all rows of the search to learn from, and test rows that are read once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.tables import CPU, everything, file_settings, paint, people, write

from tuning_client import ConfigurationError
from tuning_trainer import data
from tuning_trainer.data import FinalData
from tuning_trainer.settings import Settings


def final(folder: Path, **settings: object) -> FinalData:
    test_path = write(people(12, seed=1), folder / "test.csv")
    return data.load_final(file_settings(people(), folder, test_path=str(test_path), **settings), CPU)


def test_test_rows_are_prepared_as_the_rows_that_were_learnt_from(tmp_path: Path) -> None:
    loaded = final(tmp_path)
    inputs, targets = everything(loaded.test().source)
    np.testing.assert_array_equal(inputs, loaded.preparation.apply(people(12, seed=1)))
    assert targets.tolist() == [0, 1] * 6


def test_a_regressions_test_targets_are_on_the_scale_of_the_rows_that_were_learnt_from(tmp_path: Path) -> None:
    loaded = final(tmp_path, target="price", ignore="ill,patient")
    mean, deviation = loaded.target_scale
    _, targets = everything(loaded.test().source)
    np.testing.assert_allclose(targets * deviation + mean, people(12, seed=1)["price"], rtol=1e-6)


def test_a_fingerprint_is_of_the_rows_whatever_is_fitted_to_others(tmp_path: Path) -> None:
    assert final(tmp_path).test().fingerprint == final(tmp_path, scaling="robust", class_weights="balanced").test().fingerprint


@pytest.mark.parametrize("column", ["age", "colour", "ill"])
def test_another_value_gives_another_fingerprint(tmp_path: Path, column: str) -> None:
    settings = file_settings(people(), tmp_path, test_path=str(tmp_path / "test.csv"))
    table = people(12, seed=1)
    table.loc[3, "ill"] = "no"
    write(table, tmp_path / "test.csv")
    before = data.load_final(settings, CPU).test().fingerprint
    table.loc[3, column] = {"age": 17, "colour": "white", "ill": "yes"}[column]
    write(table, tmp_path / "test.csv")
    assert data.load_final(settings, CPU).test().fingerprint != before


def test_another_order_of_the_test_rows_gives_another_fingerprint(tmp_path: Path) -> None:
    settings = file_settings(people(), tmp_path, test_path=str(write(people(12), tmp_path / "test.csv")))
    before = data.load_final(settings, CPU).test()
    write(people(12).iloc[::-1], tmp_path / "test.csv")
    after = data.load_final(settings, CPU).test()
    assert before.fingerprint != after.fingerprint
    assert before.rows == after.rows == 12


def test_bundled_test_rows_have_one_fingerprint() -> None:
    tests = [data.load_final(Settings(dataset="wine", split_seed=seed), CPU).test() for seed in (0, 1)]
    assert tests[0].fingerprint == tests[1].fingerprint
    assert tests[0].rows == 36


REFUSALS: dict[str, tuple[dict[str, object], str]] = {
    "another class": ({"ill": "perhaps"}, "--test-path: class 'perhaps' does not occur in the rows that are learnt from"),
    "a class of another spelling": ({"ill": "Yes"}, "--test-path: class 'Yes' does not occur in the rows that are learnt from"),
    "a missing value": ({"age": np.nan}, "--test-path: column 'age' has no value in 12 rows"),
    "a word for a number": ({"age": "old"}, "column 'age' holds other values than the numbers that it was trained with"),
}


@pytest.mark.parametrize(("columns", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_test_rows_that_do_not_fit_are_refused(tmp_path: Path, columns: dict[str, object], sentence: str) -> None:
    loaded = final(tmp_path)
    write(people(12).assign(**columns), tmp_path / "test.csv")
    with pytest.raises(ConfigurationError) as refused:
        loaded.test()
    assert str(refused.value).startswith(sentence)


def test_a_column_that_the_test_rows_lack_is_named(tmp_path: Path) -> None:
    loaded = final(tmp_path)
    write(people(12).drop(columns="height"), tmp_path / "test.csv")
    with pytest.raises(ConfigurationError, match=r"--test-path: 'height' is no column of test\.csv"):
        loaded.test()


def test_test_rows_that_nobody_gave_are_asked_for(tmp_path: Path) -> None:
    loaded = data.load_final(file_settings(people(), tmp_path), CPU)
    with pytest.raises(ConfigurationError, match="--test-path: is empty; give the file or folder to read"):
        loaded.test()


def test_test_images_may_lack_a_class_but_have_no_other(tmp_path: Path) -> None:
    folder = paint(tmp_path / "train", {"cats": 4, "dogs": 4})
    test_folder = paint(tmp_path / "test", {"dogs": 3})
    loaded = data.load_final(Settings(dataset="images", path=str(folder), test_path=str(test_folder)), CPU)
    test = loaded.test()
    assert everything(test.source)[1].tolist() == [1, 1, 1]
    paint(test_folder, {"birds": 1})
    with pytest.raises(ConfigurationError, match="--test-path: folder 'birds' is no class of those that are learnt"):
        loaded.test()


def test_a_test_image_that_changes_changes_the_fingerprint(tmp_path: Path) -> None:
    folder, test_folder = paint(tmp_path / "train", {"cats": 4, "dogs": 4}), paint(tmp_path / "test", {"dogs": 3})
    loaded = data.load_final(Settings(dataset="images", path=str(folder), test_path=str(test_folder)), CPU)
    before = loaded.test().fingerprint
    assert before == loaded.test().fingerprint
    (test_folder / "dogs" / "0.png").write_bytes((test_folder / "dogs" / "1.png").read_bytes())
    assert loaded.test().fingerprint != before


def test_all_rows_of_the_search_are_learnt_from(tmp_path: Path) -> None:
    inputs, targets = everything(final(tmp_path).training)
    assert inputs.shape == (40, 5)
    assert torch.equal(targets, torch.arange(40) % 2)

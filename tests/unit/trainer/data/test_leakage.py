"""Nothing of a validation row or a test row gets into what is learnt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.support.tables import CPU, everything, file_settings, first_fold, paint, people, write

from tuning_trainer import data
from tuning_trainer.data import Fold, SearchData, origin
from tuning_trainer.data.rows import TableRows
from tuning_trainer.data.targets import Target
from tuning_trainer.settings import Settings

NUMBERS = st.floats(-1e9, 1e9)
WORDS = st.sampled_from(["red", "green", "blue", "ultraviolet", "infrared"])


def table_rows(table: pd.DataFrame, target: str) -> tuple[TableRows, Target]:
    """The rows as `load_search` would have read them from a file."""
    recognised = Target.recognised(target, table[target], "auto")
    features = table[["age", "height", "colour"]]
    groups = pd.factorize(table["patient"])[0].astype(np.int64)
    answers = recognised.encoded("--path", table[target])
    return TableRows(
        features, {"age": "number", "height": "number", "colour": "category"}, answers, groups, impute=True
    ), recognised


@contextmanager
def rows_read(rows: TableRows, target: Target) -> Iterator[None]:
    with mock.patch.object(origin, "search_rows", return_value=(rows, target)):
        yield


def learnt(fold: Fold) -> list[Any]:
    state = fold.preparation.state()
    arrays = [state.pop("offset").tolist(), state.pop("scale").tolist()]
    rows = [part.tolist() for part in everything(fold.training)]
    weights = None if fold.class_weights is None else fold.class_weights.tolist()
    return [state, arrays, rows, weights, fold.problem, fold.chance_loss, fold.target_scale, fold.warnings]


@hypothesis_settings(deadline=None, max_examples=50)
@given(
    draw=st.data(),
    scaling=st.sampled_from(["standard", "minmax", "robust", "none"]),
    target=st.sampled_from(["ill", "price"]),
    folds=st.sampled_from([1, 3]),
)
def test_whatever_validation_rows_hold_the_preparation_and_the_training_rows_stay_as_they_are(
    draw: st.DataObject, scaling: Any, target: str, folds: int
) -> None:
    rows, recognised = table_rows(people(), target)
    settings = Settings(scaling=scaling, folds=folds, class_weights="balanced" if target == "ill" else "none")
    with rows_read(rows, recognised):
        search = data.load_search(settings)
    index = draw.draw(st.integers(0, folds - 1))
    validation = search.splits[index].validation
    features, targets = rows.features.astype({"age": float}), rows.targets.copy()
    for name, values in (("age", NUMBERS), ("height", NUMBERS | st.just(np.nan)), ("colour", WORDS | st.none())):
        column = features[name].astype(object)
        column.iloc[validation] = draw.draw(st.lists(values, min_size=len(validation), max_size=len(validation)))
        features[name] = column.astype(rows.features[name].dtype if name == "colour" else float)
    targets[validation] = targets[validation][::-1] if target == "ill" else draw.draw(NUMBERS)
    changed = SearchData(replace(rows, features=features, targets=targets), recognised, search.splits, settings)
    assert learnt(changed.fold(index, CPU)) == learnt(search.fold(index, CPU))


def test_the_property_above_would_notice_a_preparation_that_looks_at_validation_rows(tmp_path: Path) -> None:
    settings = file_settings(people(), tmp_path)
    fold, final = first_fold(settings), data.load_final(settings, CPU)
    assert fold.preparation.state()["offset"].tolist() != final.preparation.state()["offset"].tolist()


def test_channels_of_images_are_scaled_by_the_training_images_alone(tmp_path: Path) -> None:
    folder = paint(tmp_path / "pictures", {"cats": 6, "dogs": 6}, mode="RGB")
    settings = Settings(dataset="images", path=str(folder), image_size=8)
    search = data.load_search(settings)
    before = search.fold(0, CPU)
    images = sorted(folder.rglob("*.png"))
    for number in search.splits[0].validation:
        images[number].write_bytes(images[search.splits[0].training[0]].read_bytes())
    after = data.load_search(settings).fold(0, CPU)
    assert torch.equal(everything(before.training)[0], everything(after.training)[0])
    assert not torch.equal(everything(before.validation)[0], everything(after.validation)[0])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_search_does_not_open_the_test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    test_path = write(people(seed=1), tmp_path / f"test{suffix}")
    settings = file_settings(people(), tmp_path, test_path=str(test_path))
    opened: list[str] = []
    monkeypatch.setattr(pd, f"read_{suffix[1:]}", recorded(getattr(pd, f"read_{suffix[1:]}"), opened))
    monkeypatch.setattr(pd, "read_csv", recorded(pd.read_csv, opened))
    first_fold(settings)
    final = data.load_final(settings, CPU)
    assert {Path(path).name for path in opened} == {"train.csv"}
    final.test()
    assert Path(opened[-1]).name == test_path.name


def recorded(read: Any, opened: list[str]) -> Any:
    def reading(path: Any, *args: Any, **options: Any) -> Any:
        opened.append(str(path))
        return read(path, *args, **options)

    return reading


def test_a_search_runs_where_the_test_rows_are_not_even_mounted(tmp_path: Path) -> None:
    settings = file_settings(people(), tmp_path, test_path=str(tmp_path / "not mounted here.csv"))
    assert len(first_fold(settings).training) == 30
    assert len(data.load_final(settings, CPU).training) == 40

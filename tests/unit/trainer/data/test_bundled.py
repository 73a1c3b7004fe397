"""scikit-learn's data sets: what a search sees of them, and what it never sees."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tests.support.lost_rows import lost_test_rows
from tests.support.tables import CPU, everything, first_fold

from tuning_trainer import data
from tuning_trainer.data import bundled
from tuning_trainer.settings import Settings

SETS = {"digits": (64, 10), "wine": (13, 3), "breast_cancer": (30, 2), "diabetes": (10, 1)}


@pytest.mark.parametrize("name", SETS)
def test_every_bundled_set_has_its_features_and_outputs(name: str) -> None:
    fold = first_fold(Settings(dataset=name))  # type: ignore[arg-type]
    features, outputs = SETS[name]
    assert (fold.problem.input_shape, fold.problem.outputs) == ((features,), outputs)
    inputs, targets = everything(fold.training)
    assert inputs.shape == (len(fold.training), features)
    assert inputs.dtype == torch.float32
    assert targets.dtype == (torch.float32 if name == "diabetes" else torch.int64)


def test_digits_are_split_into_sixty_twenty_twenty() -> None:
    fold = first_fold(Settings())
    assert (len(fold.training), len(fold.validation), data.load_final(Settings(), CPU).test().rows) == (1077, 360, 360)


def test_the_rows_of_digits_are_those_of_scikit_learns_own_splits() -> None:
    features, targets = load_digits(return_X_y=True)
    search, _, answers, _ = train_test_split(features, targets, test_size=0.2, random_state=20_000, stratify=targets)
    training, validation, expected, expected_validation = train_test_split(
        search, answers, test_size=0.25, random_state=3, stratify=answers
    )
    fold = first_fold(Settings(split_seed=3))
    scaler = StandardScaler().fit(training)
    for source, rows, classes in ((fold.training, training, expected), (fold.validation, validation, expected_validation)):
        inputs, found = everything(source)
        np.testing.assert_array_equal(found, classes)
        np.testing.assert_array_equal(inputs, scaler.transform(rows).astype(np.float32))


def test_classes_are_named_as_people_know_them() -> None:
    assert first_fold(Settings(dataset="wine")).problem.class_names == ("class_0", "class_1", "class_2")
    assert first_fold(Settings(dataset="digits")).problem.class_names == tuple("0123456789")
    assert first_fold(Settings(dataset="diabetes")).problem.class_names == ()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust", "none"])
@pytest.mark.parametrize("folds", [1, 3])
def test_a_search_is_the_same_to_the_bit_when_the_test_rows_are_lost(name: str, scaling: str, folds: int) -> None:
    settings = Settings(dataset=name, scaling=scaling, folds=folds)  # type: ignore[arg-type]
    before = data.load_search(settings)
    with lost_test_rows():
        after = data.load_search(settings)
    for index in range(folds):
        left, right = before.fold(index, CPU), after.fold(index, CPU)
        assert (left.problem, left.chance_loss, left.target_scale) == (right.problem, right.chance_loss, right.target_scale)
        for mine, others in ((left.training, right.training), (left.validation, right.validation)):
            for one, other in zip(everything(mine), everything(others), strict=True):
                assert torch.isfinite(one).all()
                assert torch.equal(one, other)


def test_what_is_lost_in_that_proof_are_the_rows_of_the_final_evaluation() -> None:
    whole = bundled.read("wine")
    search, test = whole.row_numbers()
    with lost_test_rows():
        lost = bundled.read("wine").features.isna().all(axis=1).to_numpy().nonzero()[0]
    assert set(lost) == set(test)
    assert set(search) | set(test) == set(range(178))
    assert not set(search) & set(test)
    np.testing.assert_array_equal(bundled.test_rows("wine").features, whole.features.iloc[test])


def test_the_final_evaluation_learns_from_all_rows_of_the_search() -> None:
    fold, final = first_fold(Settings(dataset="wine")), data.load_final(Settings(dataset="wine"), CPU)
    assert len(final.training) == len(fold.training) + len(fold.validation)
    inputs, _ = everything(final.training)
    assert inputs.double().mean(dim=0).abs().max() < 1e-6


def test_every_class_has_its_share_of_the_validation_rows() -> None:
    counts = Counter(everything(first_fold(Settings()).validation)[1].tolist())
    assert set(counts) == set(range(10))
    assert max(counts.values()) - min(counts.values()) <= 2

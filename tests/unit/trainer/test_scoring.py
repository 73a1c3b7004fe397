"""Losses and metrics are those that torch and scikit-learn have by these names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import nn

from tuning_client import ConfigurationError
from tuning_trainer.data.problem import Problem
from tuning_trainer.data.sources import Batch, Resident
from tuning_trainer.scoring import answers, loss_function, monitored, scores
from tuning_trainer.settings import Settings

CLASSES = Problem("classification", (4,), 4, ("a", "b", "c", "d"))
NUMBERS = Problem("regression", (1,), 1)

answered = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@settings(deadline=None)
@given(answered)
def test_metrics_of_classes_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    actual, named = (np.array(column) for column in zip(*pairs, strict=True))
    gathered = scores(CLASSES, (0.0, 1.0))
    outputs = torch.nn.functional.one_hot(torch.from_numpy(named), 4).float() * 3
    for part in (slice(0, 7), slice(7, None)):
        if len(actual[part]):
            gathered.add(outputs[part], torch.from_numpy(actual[part]))
    found = gathered.metrics("val")
    known = np.unique(actual)
    recalls = reference.recall_score(actual, named, labels=known, average="macro", zero_division=0)
    assert found == {
        "val_accuracy": pytest.approx(reference.accuracy_score(actual, named)),
        "val_balanced_accuracy": pytest.approx(recalls),
        "val_f1": pytest.approx(reference.f1_score(actual, named, average="macro", zero_division=0)),
        "val_loss": pytest.approx(reference.log_loss(actual, outputs.softmax(dim=1).numpy(), labels=range(4)), rel=1e-5),
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5, width=32), st.floats(-5, 5, width=32)), min_size=2, max_size=60))
def test_metrics_of_numbers_are_scikit_learns_in_their_own_units(pairs: list[tuple[float, float]]) -> None:
    targets, outputs = (np.array(column, dtype=np.float32) for column in zip(*pairs, strict=True))
    mean, deviation = 100.0, 20.0
    gathered = scores(NUMBERS, (mean, deviation))
    gathered.add(torch.from_numpy(outputs)[:1, None], torch.from_numpy(targets)[:1])
    gathered.add(torch.from_numpy(outputs)[1:, None], torch.from_numpy(targets)[1:])
    found = gathered.metrics("test")
    actual, named = (column.astype(np.float64) * deviation + mean for column in (targets, outputs))
    assert found["test_rmse"] == pytest.approx(reference.root_mean_squared_error(actual, named), abs=1e-9)
    assert found["test_mae"] == pytest.approx(reference.mean_absolute_error(actual, named), abs=1e-9)
    assert found["test_loss"] == pytest.approx(reference.mean_squared_error(targets, outputs), rel=1e-5, abs=1e-9)
    if targets.std() > 0.01:
        assert found["test_r2"] == pytest.approx(reference.r2_score(actual, named), rel=1e-5, abs=1e-5)


def test_r2_of_targets_that_are_all_the_same_is_scikit_learns() -> None:
    for outputs, expected in (([2.0, 2.0], 1.0), ([2.0, 3.0], 0.0)):
        gathered = scores(NUMBERS, (0.0, 1.0))
        gathered.add(torch.tensor(outputs)[:, None], torch.tensor([2.0, 2.0]))
        assert gathered.metrics("val")["val_r2"] == expected == reference.r2_score([2.0, 2.0], outputs)


def test_outputs_that_are_no_numbers_show_in_the_loss() -> None:
    gathered = scores(CLASSES, (0.0, 1.0))
    gathered.add(torch.full((2, 4), math.nan), torch.tensor([0, 1]))
    assert math.isnan(gathered.metrics("val")["val_loss"])


def test_all_rows_of_a_source_count_and_dropout_rests() -> None:
    source = Resident(Batch(torch.eye(4).repeat(3, 1), torch.tensor([0, 1, 2, 0]).repeat(3)))
    model = nn.Sequential(nn.Dropout(0.9))
    model.train()
    gathered = scores(CLASSES, (0.0, 1.0))
    for outputs, targets in answers(model, source, batch_size=1, row_size=4):
        gathered.add(outputs, targets)
    found = gathered.metrics("val")
    assert found["val_accuracy"] == 0.75
    # softmax gives e / (e + 3) to a row's largest logit and 1 / (e + 3) to each other.
    assert found["val_loss"] == pytest.approx(math.log(math.e + 3) - 3 / 4)


def test_the_loss_of_classes_takes_weights_and_smoothing() -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    loss_of = loss_function(Settings(label_smoothing=0.1), CLASSES, weights)
    outputs, targets = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 3])
    assert loss_of(outputs, targets) == nn.CrossEntropyLoss(weight=weights, label_smoothing=0.1)(outputs, targets)


def test_the_loss_of_numbers_is_the_mean_squared_error() -> None:
    loss_of = loss_function(Settings(), NUMBERS, None)
    assert loss_of(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 0.0])).item() == 5.0


MONITORED: dict[str, Any] = {
    "the study's objective": ("val_f1", CLASSES, ("val_f1", True)),
    "an objective that is to be small": ("val_loss", CLASSES, ("val_loss", False)),
    "the accuracy of classes, when the objective is something else of the result": (
        "seconds",
        CLASSES,
        ("val_accuracy", True),
    ),
    "the error of numbers, when the objective is something else of the result": ("train_loss", NUMBERS, ("val_rmse", False)),
}


@pytest.mark.parametrize(("objective", "problem", "expected"), MONITORED.values(), ids=MONITORED)
def test_epochs_are_compared_by(objective: str, problem: Problem, expected: tuple[str, bool]) -> None:
    found = monitored(objective, problem, by_hand=False)
    assert (found.metric, found.higher_is_better) == expected


def test_by_hand_there_is_no_objective_to_miss() -> None:
    assert monitored("value", CLASSES, by_hand=True).metric == "val_accuracy"


UNKNOWN = {
    "a spelling": ("val_acuracy", CLASSES, "did you mean val_accuracy?"),
    "a metric of classes for numbers": (
        "val_accuracy",
        NUMBERS,
        "no metric that the trainer has for regression; the metrics are val_rmse, val_mae, val_r2, val_loss",
    ),
}


@pytest.mark.parametrize(("objective", "problem", "sentence"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_objective_that_the_trainer_does_not_have_is_refused(objective: str, problem: Problem, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        monitored(objective, problem, by_hand=False)
    assert sentence in str(refused.value)
    assert objective in str(refused.value)

"""What is predicted, and what a constant answer costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from tuning_client import ConfigurationError
from tuning_trainer.data import targets
from tuning_trainer.data.targets import Target

RECOGNISED: dict[str, tuple[list[Any], str, int]] = {
    "words are classes": (["b", "a", "b"], "classification", 2),
    "truths are classes": ([True, False, True], "classification", 2),
    "few whole numbers are classes": ([1, 2, 7], "classification", 3),
    "few whole numbers with a point are classes": ([1.0, 2.0, 7.0], "classification", 3),
    "numbers with a fraction are a regression": ([1.5, 2.0, 7.0], "regression", 1),
    "twenty whole numbers are classes": (list(range(20)), "classification", 20),
    "more than twenty are a regression": (list(range(21)), "regression", 1),
}


@pytest.mark.parametrize(("values", "task", "outputs"), RECOGNISED.values(), ids=RECOGNISED)
def test_a_task_is_recognised_by_its_target(values: list[Any], task: str, outputs: int) -> None:
    target = Target.recognised("y", pd.Series(values), "auto")
    assert (target.task, target.outputs) == (task, outputs)


def test_who_says_what_the_task_is_is_believed() -> None:
    assert Target.recognised("y", pd.Series([1, 2]), "regression").task == "regression"
    assert Target.recognised("y", pd.Series([1.5, 2.5]), "classification").class_names == ("1.5", "2.5")


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="--target: 'y' has 1001 different values, too many for classes"):
        Target.recognised("y", pd.Series(map(str, range(1001))), "auto")


STRANGE: dict[str, tuple[pd.Series, str]] = {
    "lists": (pd.Series([[0, 1], [1, 1]]), "holds neither numbers nor words but list values"),
    "decimals": (pd.Series([Decimal(0), Decimal(1)]), "holds neither numbers nor words but Decimal values"),
    "complex numbers": (pd.Series([1j, 2j]), "holds neither numbers nor words but complex128 values"),
    "dates": (pd.Series(pd.date_range("2024-01-01", periods=2)), "holds dates such as 2024-01-01 00:00:00; make them numbers"),
}


@pytest.mark.parametrize(("values", "sentence"), STRANGE.values(), ids=STRANGE)
def test_what_is_neither_a_number_nor_a_class_is_refused(values: pd.Series, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^--target: 'y' {sentence}"):
        Target.recognised("y", values, "auto")


DECLARED: dict[str, pd.Series] = {
    "categories": pd.Series(pd.Categorical(["a", "b"])),
    "nullable whole numbers": pd.Series([0, 1], dtype="Int64"),
    "nullable truths": pd.Series([True, False], dtype="boolean"),
    "texts": pd.Series(["a", "b"], dtype="string"),
}


@pytest.mark.parametrize("values", DECLARED.values(), ids=DECLARED)
def test_classes_of_any_declared_type_are_classes(values: pd.Series) -> None:
    assert Target.recognised("y", values, "auto").outputs == 2


def test_classes_are_in_the_order_of_their_values() -> None:
    target = Target.recognised("y", pd.Series([10.0, 9.0, 10.0]), "auto")
    assert target.class_names == ("9", "10")
    assert target.encoded("--path", pd.Series([9, 10, 9])).tolist() == [0, 1, 0]


def test_a_class_that_looks_like_another_is_taken_for_a_slip() -> None:
    target = Target.recognised("y", pd.Series(["malignant", "benign"]), "auto")
    with pytest.raises(ConfigurationError, match=r"class 'malignent' does not occur .*; is 'malignant' meant\?"):
        target.encoded("--test-path", pd.Series(["benign", "malignent"]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [np.ones(3), np.array([0.5, 1.0, 4.0])], ids=["alike", "weighted"])
def test_the_constant_cost_is_the_least_that_torch_counts_for_one_answer_to_all_rows(
    smoothing: float, weights: np.ndarray
) -> None:
    classes = np.repeat([0, 1, 2], [50, 30, 5])
    cost = targets.constant_cost(classes, weights, smoothing=smoothing)
    answer = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([answer], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = answer.expand(len(classes), 3)
        value = cross_entropy(logits, torch.from_numpy(classes), torch.from_numpy(weights), label_smoothing=smoothing)
        value.backward()
        return value

    optimizer.step(loss)
    assert loss().item() == pytest.approx(cost, abs=1e-9)


def test_without_weights_the_constant_cost_is_the_entropy_of_the_shares() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    cost = targets.constant_cost(np.repeat([0, 1, 2], [50, 30, 20]), np.ones(3))
    assert cost == pytest.approx(-(shares * np.log(shares)).sum())

"""What folds say together."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tuning_client import Diagnosis
from tuning_trainer import outcome
from tuning_trainer.outcome import Outcome


def ended(accuracy: float, *, best_epoch: int = 3, diagnoses: tuple[str, ...] = (), **more: Any) -> Outcome:
    return Outcome(
        metrics={"val_accuracy": accuracy, "val_loss": 1 - accuracy},
        best_epoch=best_epoch,
        epochs=5,
        seconds=2.0,
        diagnoses=tuple(Diagnosis(name, f"{name} at {accuracy}", figure=accuracy) for name in diagnoses),
        **more,
    )


def test_one_fold_speaks_for_itself() -> None:
    assert outcome.summary({0: ended(0.75)}, "val_accuracy") == {
        "val_accuracy": 0.75,
        "val_loss": 0.25,
        "best_epoch": 3,
        "epochs": 5,
        "seconds": 2.0,
    }


def test_several_folds_have_means_and_of_the_objective_the_spread_and_each_value() -> None:
    folds = {0: ended(0.5, best_epoch=2), 1: ended(0.75, best_epoch=3), 2: ended(1.0, best_epoch=5)}
    assert outcome.summary(folds, "val_accuracy") == {
        "val_accuracy": 0.75,
        "val_loss": 0.25,
        "best_epoch": pytest.approx(10 / 3),
        "epochs": 5,
        "seconds": 6.0,
        "val_accuracy_stddev": 0.25,
        "val_accuracy_fold_0": 0.5,
        "val_accuracy_fold_1": 0.75,
        "val_accuracy_fold_2": 1.0,
    }


def test_a_fold_that_diverged_decides_alone() -> None:
    folds = {0: ended(0.5), 1: ended(math.nan, diagnoses=("diverged",))}
    found = outcome.summary(folds, "val_accuracy")
    assert math.isnan(found["val_accuracy"])
    assert "val_accuracy_stddev" not in found
    assert [diagnosis.name for diagnosis in outcome.diagnoses(list(folds.values()))] == ["diverged"]


def test_the_objective_is_nan_whichever_metric_showed_that_a_fold_diverged() -> None:
    diverged = Outcome(metrics={"val_accuracy": 0.1, "val_loss": math.inf}, best_epoch=1, epochs=1, seconds=0.0)
    assert math.isnan(outcome.summary({0: diverged}, "val_accuracy")["val_accuracy"])


DIAGNOSES: dict[str, tuple[list[tuple[str, ...]], list[str]]] = {
    "what a single fold shows, where it is the only one": ([("bad-start", "unstable")], ["bad-start", "unstable"]),
    "what half of the folds show": ([("unstable",), ()], ["unstable"]),
    "nothing that fewer than half show": ([("unstable",), (), ()], []),
    "the most telling first": ([("bad-start",), ("unstable", "bad-start")], ["bad-start", "unstable"]),
}


@pytest.mark.parametrize(("folds", "expected"), DIAGNOSES.values(), ids=DIAGNOSES)
def test_folds_together_are_diagnosed_with(folds: list[tuple[str, ...]], expected: list[str]) -> None:
    found = outcome.diagnoses([ended(0.5, diagnoses=names) for names in folds])
    assert [diagnosis.name for diagnosis in found] == expected


def test_the_first_fold_that_shows_it_gives_the_figure() -> None:
    folds = [ended(0.1), ended(0.2, diagnoses=("unstable",)), ended(0.3, diagnoses=("unstable",))]
    (found,) = outcome.diagnoses(folds)
    assert found.figure == 0.2


def test_a_warning_is_said_once() -> None:
    assert outcome.warnings([ended(0.5), ended(0.5, warnings=("first",)), ended(0.5, warnings=("second",))]) == ("first",)


def test_an_outcome_survives_a_checkpoint() -> None:
    before = ended(0.5, diagnoses=("unstable",), warnings=("a sentence",))
    assert Outcome.from_state(before.state_dict()) == before

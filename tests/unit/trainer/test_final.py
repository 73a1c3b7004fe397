"""The final role: trained on all rows of the search, tested once, after the last step."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import safetensors
import torch
from tests.support.trainings import TrialFolder, after_step, interrupt
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

import tuning_trainer
from tuning_trainer import data
from tuning_trainer.data import FinalData
from tuning_trainer.final import Evaluation

EPOCHS = 3
SHORT = ("--epochs=20", "--batch-size=256", "--progress=none", "--dropout=0.2")
ROWS_OF_THE_SEARCH = 1437
STEPS = EPOCHS * math.ceil(ROWS_OF_THE_SEARCH / 256)


def attempt(trial: TrialFolder, *arguments: str, metric: str = "test_accuracy", epochs: str = str(EPOCHS), **more: Any) -> int:
    return trial.attempt(*arguments, metric=metric, TUNING_ROLE="final", TUNING_FINAL_EPOCHS=epochs, **more)


@contextmanager
def noting_order() -> Iterator[list[str]]:
    """Steps of the optimiser and readings of the test rows, in the order in which they happen."""
    happened: list[str] = []
    read = FinalData.test

    def noted(rows: FinalData) -> data.TestRows:
        happened.append("test")
        return read(rows)

    def count(_optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        happened.append("step")

    hook = register_optimizer_step_post_hook(count)
    try:
        with mock.patch.object(FinalData, "test", noted):
            yield happened
    finally:
        hook.remove()


def test_the_test_rows_are_read_once_after_the_last_step(trial: TrialFolder) -> None:
    with noting_order() as happened:
        assert attempt(trial, *SHORT) == 0
    assert happened == ["step"] * STEPS + ["test"]


def test_the_result_holds_the_metrics_of_the_test_rows(trial: TrialFolder) -> None:
    assert attempt(trial, *SHORT, "--learning-rate=0.01") == 0
    result = trial.result()
    assert result["test_accuracy"] > 0.85
    assert {"test_balanced_accuracy", "test_f1", "test_loss", "train_loss"} <= set(result)
    assert (result["test_rows"], result["epochs"]) == (360, EPOCHS)
    assert len(result["test_fingerprint"]) == 64
    assert not any(name.startswith("val_") for name in result)


def test_the_bitmap_of_the_rows_gives_the_accuracy(trial: TrialFolder) -> None:
    assert attempt(trial, *SHORT) == 0
    result = trial.result()
    name, kind, text = result["test_scores"].split(":")
    assert (name, kind) == ("correct", "bits")
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8))[: int(result["test_rows"])]
    assert bits.mean() == pytest.approx(result["test_accuracy"])
    scores = np.load(trial.path / "output" / "test_scores.npz")
    assert (scores["correct"] == bits).all()
    assert ((scores["prediction"] == scores["target"]) == scores["correct"]).all()
    assert scores["loss"].mean() == pytest.approx(result["test_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "name", "figure"),
    [
        ("test_rmse", "squared_error", lambda scores: scores.mean() ** 0.5),
        ("test_mae", "absolute_error", lambda scores: scores.mean()),
        ("test_r2", "squared_error", None),
        ("test_loss", "squared_error", None),
    ],
)
def test_the_scores_of_a_regression_give_its_metric(trial: TrialFolder, metric: str, name: str, figure: Any) -> None:
    assert attempt(trial, *SHORT, "--dataset=diabetes", metric=metric) == 0
    result = trial.result()
    written, kind, text = result["test_scores"].split(":")
    scores = np.frombuffer(base64.b64decode(text), "<f4")
    assert (written, kind, len(scores)) == (name, "float32", result["test_rows"])
    if figure:
        assert figure(scores) == pytest.approx(result[metric], rel=1e-4)


def test_scores_that_the_result_has_no_room_for_are_in_the_folder_alone() -> None:
    evaluation = Evaluation({}, "f" * 64, {"correct": np.ones(20_000, np.bool_), "loss": np.zeros(20_000)})
    assert set(evaluation.notes("test_accuracy")) == {"test_fingerprint"}
    assert set(Evaluation({}, "f" * 64, {"correct": np.ones(10_000, np.bool_)}).notes("test_accuracy")) == {
        "test_fingerprint",
        "test_scores",
    }


def test_equal_test_rows_have_equal_fingerprints_whatever_the_training(tmp_path: Path) -> None:
    fingerprints = []
    for number, arguments in enumerate((("--scaling=standard",), ("--scaling=none", "--learning-rate=0.1"))):
        trial = TrialFolder(tmp_path / str(number))
        trial.path.mkdir()
        assert attempt(trial, *SHORT, *arguments, seed=number) == 0
        fingerprints.append(trial.result()["test_fingerprint"])
    assert fingerprints[0] == fingerprints[1]


def test_the_model_in_the_folder_predicts_what_was_tested(trial: TrialFolder) -> None:
    assert attempt(trial, *SHORT) == 0
    model = tuning_trainer.load(trial.path / "output")
    assert model.metrics["test_accuracy"] == trial.result()["test_accuracy"]
    assert model.predict(np.zeros((2, 64), np.float32)).shape == (2,)


def test_patience_and_folds_of_the_search_do_not_stop_it(trial: TrialFolder) -> None:
    assert attempt(trial, *SHORT, "--patience=1", "--min-delta=100", "--folds=5", epochs="6") == 0
    assert trial.result()["epochs"] == 6


def cosine(step: float, steps: float) -> float:
    return (1 + math.cos(math.pi * step / steps)) / 2


def one_cycle(step: int, steps: int) -> float:
    highest = 0.3 * steps - 1
    if step <= highest:
        return 1 - 24 / 25 * cosine(step, highest)
    return cosine(step - highest, steps - 1 - highest)


@pytest.mark.parametrize("curve", [cosine, one_cycle])
def test_the_learning_rate_follows_the_curve_of_the_search(trial: TrialFolder, curve: Callable[[int, int], float]) -> None:
    rates: list[float] = []

    def note(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        rates.append(optimizer.param_groups[0]["lr"])

    hook = register_optimizer_step_post_hook(note)
    try:
        assert attempt(trial, "--epochs=6", "--batch-size=256", f"--schedule={curve.__name__}", "--progress=none") == 0
    finally:
        hook.remove()
    steps = 2 * STEPS
    expected = [1e-3 * curve(step, steps) for step in range(STEPS)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("step", [1, STEPS // 2, STEPS])
def test_an_interrupted_one_ends_as_if_it_had_not_been(trial: TrialFolder, tmp_path: Path, step: int) -> None:
    with after_step(step, interrupt), noting_order() as happened:
        assert attempt(trial, *SHORT) == 75
    assert "test" not in happened
    assert attempt(trial, *SHORT) == 0
    uninterrupted = TrialFolder(tmp_path / "uninterrupted")
    uninterrupted.path.mkdir()
    assert attempt(uninterrupted, *SHORT) == 0
    assert trial.result() == uninterrupted.result()


def test_without_epochs_it_is_a_configuration_error(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert attempt(trial, *SHORT, epochs="") == 78
    assert "TUNING_FINAL_EPOCHS is missing" in capsys.readouterr().err


def test_one_that_diverges_leaves_the_test_rows_unread(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with noting_order() as happened:
        assert attempt(trial, *SHORT, "--optimizer=sgd", "--learning-rate=1e30") == 0
    assert "test" not in happened
    assert trial.result()["test_accuracy"] == "nan"
    assert not (trial.path / "output" / "model.json").exists()
    assert "diverged in epoch 1" in capsys.readouterr().err


def test_it_trains_on_more_rows_than_a_search(trial: TrialFolder) -> None:
    seen: list[int] = []
    learn = torch.randperm

    def noted(rows: int, **options: Any) -> torch.Tensor:
        seen.append(rows)
        return learn(rows, **options)

    with mock.patch.object(torch, "randperm", noted):
        assert attempt(trial, *SHORT) == 0
    assert set(seen) == {ROWS_OF_THE_SEARCH}


def a_file_in_its_place(folder: Path) -> AbstractContextManager[object]:
    folder.write_text("no folder")
    return nullcontext()


def a_disk_that_is_full_after_the_scores(folder: Path) -> AbstractContextManager[object]:
    full = safetensors.SafetensorError("Error while serializing: I/O error: No space left on device")
    return mock.patch("safetensors.torch.save_model", side_effect=full)


@pytest.mark.parametrize("unwritable", [a_file_in_its_place, a_disk_that_is_full_after_the_scores])
def test_a_folder_that_cannot_be_written_costs_the_model_and_not_the_test(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str], unwritable: Callable[[Path], AbstractContextManager[object]]
) -> None:
    folder = trial.path / "output"
    with unwritable(folder):
        assert attempt(trial, *SHORT) == 0
    result = trial.result()
    assert result["test_rows"] == 360
    assert f"the model is not saved: {folder} cannot be written" in result["message"]
    assert result["message"] in capsys.readouterr().err
    assert not trial.checkpoint.exists()
    assert not list(trial.path.rglob("*.unfinished"))

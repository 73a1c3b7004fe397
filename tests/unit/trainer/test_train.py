"""A training tells its result, and being interrupted does not change it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from tests.support.lost_rows import lost_test_rows
from tests.support.trainings import TrialFolder, after_step, assert_as_if_never_interrupted, interrupt

import tuning_client
from tuning_trainer import __main__ as trainer
from tuning_trainer import scoring, session
from tuning_trainer.data import load_search
from tuning_trainer.session import Session
from tuning_trainer.settings import Settings
from tuning_trainer.train import fit

# Five steps an epoch, dropout for random numbers in each of them.
SHORT = ("--epochs=3", "--batch-size=256", "--dropout=0.3")
STEPS = 15


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> TrialFolder:
    folder = TrialFolder(tmp_path_factory.mktemp("uninterrupted"))
    assert folder.attempt(*SHORT) == 0
    return folder


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuning_client.Trial]:
    for name in ("TUNING_TRIAL", "TUNING_PARAMETERS", "TUNING_SEED", "TUNING_CHECKPOINT_DIR", "TUNING_RESULT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with tuning_client.trial() as trial:
        yield trial
        trial.result(0.0)


def test_the_result_holds_the_best_epochs_metrics(trial: TrialFolder) -> None:
    assert trial.attempt("--epochs=20") == 0
    result = trial.result()
    assert set(result) - {"diagnoses"} == {
        "val_accuracy",
        "val_balanced_accuracy",
        "val_f1",
        "val_loss",
        "train_loss",
        "best_epoch",
        "epochs",
    }
    assert result["val_accuracy"] > 0.93
    assert 0 < result["train_loss"] < result["val_loss"] < 0.3
    assert result["best_epoch"] <= result["epochs"] == 20


def test_a_regression_has_its_errors_in_the_targets_own_units(trial: TrialFolder) -> None:
    assert trial.attempt("--dataset=diabetes", "--epochs=10", metric="val_rmse") == 0
    result = trial.result()
    assert {"val_rmse", "val_mae", "val_r2", "val_loss"} <= set(result)
    assert 40 < result["val_mae"] < result["val_rmse"] < 80
    assert 0.2 < result["val_r2"] < 0.7


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam"])
def test_every_optimiser_learns(trial: TrialFolder, optimizer: str) -> None:
    assert trial.attempt("--epochs=10", parameters={"optimizer": optimizer, "learning_rate": 0.01}) == 0
    assert trial.result()["val_accuracy"] > 0.9


def test_every_epoch_is_reported_with_what_people_look_at(uninterrupted: TrialFolder) -> None:
    reports = uninterrupted.reports()
    assert list(reports) == [(None, 1), (None, 2), (None, 3)]
    assert {"val_accuracy", "val_loss", "train_loss", "learning_rate"} <= set(reports[None, 2])
    assert "gradient_norm" in reports[None, 1]


def test_equal_seeds_give_equal_trainings_to_the_bit(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_another_seed_gives_another_training(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    assert trial.attempt(*SHORT, seed=1) == 0
    assert trial.result() != uninterrupted.result()


def test_a_training_is_the_same_to_the_bit_when_its_test_rows_are_lost(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    with lost_test_rows():
        assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_training_interrupted_after_any_step_ends_as_if_it_had_not_been(
    trial: TrialFolder, uninterrupted: TrialFolder, step: int
) -> None:
    with after_step(step, interrupt):
        assert trial.attempt(*SHORT) == 75
    assert not (trial.path / "result.json").exists()
    assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


PARTS = {
    "Adam": ("--optimizer=adam",),
    "AdamW and a cosine after a warm-up": ("--optimizer=adamw", "--schedule=cosine", "--warmup-epochs=0.5", "--weight-decay=0.1"),
    "SGD and one cycle": ("--optimizer=sgd", "--schedule=one_cycle", "--learning-rate=0.1", "--nesterov=on"),
    "RMSprop, a plateau and steps of three batches": (
        "--optimizer=rmsprop",
        "--schedule=plateau",
        "--decay-epochs=1",
        "--accumulation=3",
    ),
    "NAdam and an exponential": ("--optimizer=nadam", "--schedule=exponential"),
    "Adagrad and a step": ("--optimizer=adagrad", "--schedule=step", "--decay-epochs=1", "--learning-rate=0.05"),
    "normalisation and clipping": ("--normalization=batch", "--gradient-clipping=0.5"),
    "bfloat16": ("--precision=bfloat16",),
    "class weights and smoothing": ("--class-weights=balanced", "--label-smoothing=0.1"),
    "rows that workers read": ("--loading=workers", "--workers=0"),
    "a convolution": ("--model=cnn", "--hidden-units=4"),
    "a transformer": ("--model=transformer", "--hidden-units=8", "--heads=2"),
    "three folds": ("--folds=3", "--epochs=2"),
}


@pytest.mark.parametrize("arguments", PARTS.values(), ids=PARTS)
def test_a_training_interrupted_again_and_again_ends_as_if_it_had_not_been(
    trial: TrialFolder, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    arguments = (*SHORT, "--batch-size=128", *arguments)
    whole = TrialFolder(tmp_path / "whole")
    whole.path.mkdir()
    assert whole.attempt(*arguments) == 0

    ended, attempts = 75, 0
    while ended == 75:
        with after_step(4, interrupt):
            ended = trial.attempt(*arguments)
        attempts += 1
    assert ended == 0
    assert attempts > 2
    assert_as_if_never_interrupted(trial, whole)


def test_a_training_interrupted_while_it_validates_ends_as_if_it_had_not_been(
    trial: TrialFolder, uninterrupted: TrialFolder
) -> None:
    add, batches = scoring.ClassScores.add, 0

    def interrupting(self: scoring.ClassScores, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            interrupt()
        add(self, outputs, targets)

    with mock.patch.object(scoring.ClassScores, "add", interrupting):
        assert trial.attempt(*SHORT) == 75
    assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_a_training_that_could_not_hand_over_its_result_gives_it_again_without_a_step(
    trial: TrialFolder, uninterrupted: TrialFolder
) -> None:
    assert trial.attempt(*SHORT, TUNING_RESULT_FILE=str(trial.path)) == 0
    assert trial.checkpoint.exists()
    with after_step(1, partial(pytest.fail, "it trained on")):
        assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_an_interrupted_training_without_a_checkpoint_folder_starts_anew(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    with after_step(7, interrupt):
        assert trial.attempt(*SHORT, TUNING_CHECKPOINT_DIR="") == 75
    assert trial.attempt(*SHORT, TUNING_CHECKPOINT_DIR="") == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_a_torn_checkpoint_is_refused_by_name_and_training_starts_anew(
    trial: TrialFolder, uninterrupted: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with after_step(7, interrupt):
        assert trial.attempt(*SHORT) == 75
    trial.checkpoint.write_bytes(trial.checkpoint.read_bytes()[:-100])
    capsys.readouterr()
    assert trial.attempt(*SHORT) == 0
    assert f"checkpoint {trial.checkpoint} is torn" in capsys.readouterr().err
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_a_checkpoint_of_other_parameters_is_refused_and_training_starts_anew(
    trial: TrialFolder, uninterrupted: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with after_step(4, interrupt):
        assert trial.attempt(*SHORT, parameters={"learning_rate": 0.01}) == 75
    assert trial.attempt(*SHORT) == 0
    assert "its learning_rate is 0.01, this one's is 0.001; training starts anew" in capsys.readouterr().err
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_a_pruned_training_leaves_at_the_next_step_with_what_it_had(trial: TrialFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_client.Trial, "should_prune", lambda self: len(trial.reports()) == 2)
    (trial.path / "reports.jsonl").touch()
    with after_step(12, partial(pytest.fail, "it trained on")):
        assert trial.attempt(*SHORT) == 0
    assert list(trial.reports()) == [(None, 1), (None, 2)]
    assert trial.result()["pruned"] is True
    assert trial.result()["val_accuracy"] == trial.reports()[None, 2]["val_accuracy"]
    assert not trial.checkpoint.exists()


def test_a_training_that_diverges_says_so_and_gives_a_result_that_is_no_number(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trial.attempt("--optimizer=sgd", "--learning-rate=1e30") == 0
    result = trial.result()
    assert result["val_accuracy"] == "nan"
    assert result["epochs"] == 1
    assert result["diagnoses"][0]["name"] == "diverged"
    assert "diverged: " in capsys.readouterr().err
    assert not trial.checkpoint.exists()


def test_training_stops_when_patience_is_over(trial: TrialFolder) -> None:
    assert trial.attempt("--epochs=200", "--patience=4", parameters={"learning_rate": 0.01}) == 0
    result = trial.result()
    assert result["epochs"] == result["best_epoch"] + 4 < 200


def test_epochs_are_compared_by_the_studys_objective(trial: TrialFolder) -> None:
    assert trial.attempt("--epochs=30", parameters={"learning_rate": 0.03}, metric="val_loss") == 0
    losses = {step: metrics["val_loss"] for (_, step), metrics in trial.reports().items()}
    assert trial.result()["best_epoch"] == min(losses, key=lambda step: losses[step])
    assert trial.result()["val_loss"] == min(losses.values())


def test_the_model_has_the_weights_of_its_best_epoch(by_hand: tuning_client.Trial) -> None:
    settings = Settings(epochs=40, learning_rate=0.05, patience=5, progress="none")
    with Session(by_hand, settings) as session_:
        rows = load_search(settings).fold(0, session_.device)
        model, outcome = fit(session_, settings, rows, validation=rows.validation)
    assert outcome.best_epoch < outcome.epochs
    gathered = scoring.scores(rows.problem, rows.target_scale)
    for outputs, targets in scoring.answers(model, rows.validation, batch_size=64, row_size=64):
        gathered.add(outputs, targets)
    found = gathered.metrics("val")
    assert found == {name: outcome.metrics[name] for name in found}


def test_without_rows_that_validate_every_epoch_is_trained_and_the_last_counts(by_hand: tuning_client.Trial) -> None:
    settings = Settings(epochs=9, patience=1, schedule="plateau", progress="none")
    with Session(by_hand, settings) as session_:
        rows = load_search(settings).fold(0, session_.device)
        _, outcome = fit(session_, settings, rows, validation=None, epochs=3)
    assert (outcome.epochs, outcome.best_epoch, set(outcome.metrics)) == (3, 3, {"train_loss"})
    assert outcome.diagnoses == ()


def test_a_training_that_fills_the_memory_is_a_result_and_no_failure(trial: TrialFolder) -> None:
    assert trial.attempt("--epochs=1", parameters={"hidden_units": 10**13}) == 0
    result = trial.result()
    assert result["val_accuracy"] == "nan"
    assert [diagnosis["name"] for diagnosis in result["diagnoses"]] == ["out-of-memory"]


def test_a_mistake_in_the_code_is_no_exhausted_memory(trial: TrialFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.Session, "begin", mock.Mock(side_effect=RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        trial.attempt("--epochs=1")


def test_by_hand_there_is_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str], by_hand: tuning_client.Trial) -> None:
    trainer.main(["--epochs=3"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["step 1", "step 2", "step 3", "result"]


def test_a_gpu_that_is_not_there_is_a_configuration_error(
    trial: TrialFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert trial.attempt("--device=cuda") == 78
    assert "give --device=auto" in capsys.readouterr().err


WRONG: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "a parameter that the trainer does not know": ((), {"parameters": {"lerning_rate": 0.1}}, "did you mean learning_rate?"),
    "an objective that it does not know": ((), {"metric": "val_acc"}, "did you mean val_accuracy?"),
    "event files without a folder": (("--tensorboard=on",), {"TUNING_OUTPUT_DIR": ""}, "give --tensorboard=off"),
    "a fold that there is not": (("--folds=3",), {"TUNING_FOLD": "3"}, "of 3 folds there is none of number 3"),
}


@pytest.mark.parametrize(("arguments", "told", "remedy"), WRONG.values(), ids=WRONG)
def test_a_configuration_error_is_one_sentence_with_the_remedy(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str], *, arguments: tuple[str, ...], told: dict[str, Any], remedy: str
) -> None:
    assert trial.attempt(*arguments, **told) == 78
    said = capsys.readouterr().err
    assert remedy in said
    assert said.count("\n") == 1
    assert not (trial.path / "result.json").exists()


def test_event_files_hold_the_curves_of_every_fold(trial: TrialFolder) -> None:
    assert trial.attempt(*SHORT, "--folds=2", "--tensorboard=on") == 0
    folders = sorted((trial.path / "output" / "tensorboard").iterdir())
    assert [folder.name for folder in folders] == ["fold-0", "fold-1"]
    for folder in folders:
        (events,) = folder.iterdir()
        assert b"val_accuracy" in events.read_bytes()


def test_a_warning_about_the_data_is_the_results_message(trial: TrialFolder) -> None:
    assert trial.attempt("--dataset=wine", "--scaling=none", "--epochs=1") == 0
    assert "--scaling=standard" in json.loads((trial.path / "result.json").read_text())["message"]

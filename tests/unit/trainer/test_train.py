"""A training tells its result, and being interrupted does not change it."""

from __future__ import annotations

import math
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.trainings import TrialFolder, after_step, differences
from torch import nn

import tuning_client
from tuning_trainer import __main__ as trainer
from tuning_trainer import data, models
from tuning_trainer.settings import Settings
from tuning_trainer.train import evaluate, train

# Five steps an epoch, dropout for random numbers in each of them.
SHORT = ("--epochs=3", "--batch-size=256", "--dropout=0.3")
STEPS = 15

interrupt = partial(signal.raise_signal, signal.SIGTERM)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> TrialFolder:
    folder = TrialFolder(tmp_path_factory.mktemp("uninterrupted"))
    assert folder.attempt(*SHORT) == 0
    return folder


def assert_as_if_never_interrupted(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    assert trial.result() == uninterrupted.result()
    assert differences(trial.final_state(), uninterrupted.final_state()) == []


def test_the_result_holds_the_best_epochs_metrics(trial: TrialFolder) -> None:
    assert trial.attempt("--epochs=20") == 0
    result = trial.result()
    assert set(result) == {"val_accuracy", "val_loss", "train_loss", "best_epoch", "epochs"}
    assert result["val_accuracy"] > 0.93
    assert 0 < result["train_loss"] < result["val_loss"] < 0.3
    assert result["best_epoch"] <= result["epochs"] == 20


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimiser_learns(trial: TrialFolder, optimizer: str) -> None:
    assert trial.attempt("--epochs=10", parameters={"optimizer": optimizer, "learning_rate": 0.01}) == 0
    assert trial.result()["val_accuracy"] > 0.9


def test_equal_seeds_give_equal_trainings_to_the_bit(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_another_seed_gives_another_training(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    assert trial.attempt(*SHORT, seed=1) == 0
    assert trial.result() != uninterrupted.result()


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_training_interrupted_after_any_step_ends_as_if_it_had_not_been(
    trial: TrialFolder, uninterrupted: TrialFolder, step: int
) -> None:
    with after_step(step, interrupt):
        assert trial.attempt(*SHORT) == 75
    assert not (trial.path / "result.json").exists()
    assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_training_interrupted_every_other_step_ends_as_if_it_had_not_been(trial: TrialFolder, optimizer: str) -> None:
    arguments = (*SHORT, f"--optimizer={optimizer}")
    for _ in range(STEPS // 2):
        with after_step(2, interrupt):
            assert trial.attempt(*arguments) == 75
    assert trial.attempt(*arguments) == 0
    interrupted, state = trial.result(), trial.final_state()

    trial.checkpoint.unlink()
    assert trial.attempt(*arguments) == 0
    assert trial.result() == interrupted
    assert differences(trial.final_state(), state) == []


def test_a_finished_training_that_lost_its_result_gives_it_again_without_a_step(
    trial: TrialFolder, uninterrupted: TrialFolder
) -> None:
    assert trial.attempt(*SHORT) == 0
    (trial.path / "result.json").unlink()
    with after_step(1, partial(pytest.fail, "it trained on")):
        assert trial.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_an_interrupted_training_without_a_checkpoint_folder_starts_anew(
    trial: TrialFolder, uninterrupted: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_folder = TrialFolder.environment
    monkeypatch.setattr(TrialFolder, "environment", lambda *told: {**with_folder(*told), "TUNING_CHECKPOINT_DIR": ""})
    with after_step(7, interrupt):
        assert trial.attempt(*SHORT) == 75
    assert trial.attempt(*SHORT) == 0
    assert trial.result() == uninterrupted.result()


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
    assert trial.attempt(*SHORT, parameters={"learning_rate": 0.01}) == 0
    assert trial.attempt(*SHORT) == 0
    assert "its learning_rate is 0.01, this one's is 0.001; training starts anew" in capsys.readouterr().err
    assert_as_if_never_interrupted(trial, uninterrupted)


def test_a_pruned_training_leaves_at_the_next_step_with_what_it_had(
    trial: TrialFolder, uninterrupted: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[int] = []
    report = tuning_client.Trial.report

    def noted(self: tuning_client.Trial, step: int, **metrics: float) -> None:
        reported.append(step)
        report(self, step, **metrics)

    monkeypatch.setattr(tuning_client.Trial, "report", noted)
    monkeypatch.setattr(tuning_client.Trial, "should_prune", lambda self: reported == [1, 2])
    with after_step(12, partial(pytest.fail, "it trained on")):
        assert trial.attempt(*SHORT) == 0
    assert reported == [1, 2]
    assert trial.result()["pruned"] is True
    assert 0 < trial.result()["val_accuracy"] <= 1


def test_a_training_that_diverges_says_so_and_gives_a_result_that_is_no_number(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trial.attempt("--optimizer=sgd", "--learning-rate=1e30") == 0
    assert trial.result()["val_accuracy"] == "nan"
    assert trial.result()["epochs"] == 1
    assert "diverged: " in capsys.readouterr().err
    assert not trial.checkpoint.exists()


def test_training_stops_when_patience_is_over(trial: TrialFolder) -> None:
    assert trial.attempt("--epochs=200", "--patience=4", parameters={"learning_rate": 0.01}) == 0
    result = trial.result()
    assert result["epochs"] == result["best_epoch"] + 4 < 200


def test_the_model_has_the_weights_of_its_best_epoch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    results: list[dict[str, Any]] = []
    monkeypatch.setattr(tuning_client.Trial, "result", lambda self, **metrics: results.append(metrics))
    settings = Settings(epochs=40, learning_rate=0.05, patience=5)
    with tuning_client.trial() as by_hand:
        model = train(by_hand, settings)
        by_hand.result()
    validation = data.load(settings, torch.device("cpu")).validation
    assert results[0]["best_epoch"] < results[0]["epochs"]
    assert evaluate(model, validation) == {name: results[0][name] for name in ("val_accuracy", "val_loss")}


def test_dropout_rests_while_a_model_is_evaluated() -> None:
    model = models.build(Settings(dropout=0.9), features=64, classes=10)
    validation = data.load(Settings(), torch.device("cpu")).validation
    model.train()
    assert evaluate(model, validation) == evaluate(model, validation)


def test_accuracy_is_the_share_of_rows_whose_class_has_the_largest_logit() -> None:
    rows = data.Rows(torch.eye(4), torch.tensor([0, 1, 2, 0]))
    metrics = evaluate(nn.Identity(), rows)
    assert metrics["val_accuracy"] == 0.75
    # softmax gives e / (e + 3) to a row's largest logit and 1 / (e + 3) to each other.
    assert metrics["val_loss"] == pytest.approx(math.log(math.e + 3) - 3 / 4)


def test_by_hand_there_is_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TUNING_TRIAL", "TUNING_PARAMETERS", "TUNING_SEED", "TUNING_CHECKPOINT_DIR", "TUNING_RESULT_FILE"):
        monkeypatch.delenv(name, raising=False)
    trainer.main(["--epochs=3"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["step 1", "step 2", "step 3", "result"]


def test_a_gpu_that_is_not_there_is_a_configuration_error(
    trial: TrialFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert trial.attempt("--device=cuda") == 78
    assert "give --device=auto" in capsys.readouterr().err


def test_a_parameter_that_the_trainer_does_not_know_is_a_configuration_error(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trial.attempt(parameters={"lerning_rate": 0.1}) == 78
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path(trial.path / "result.json").exists()

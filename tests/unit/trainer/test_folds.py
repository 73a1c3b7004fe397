"""Folds are trained one after another; one that is finished is never trained again."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.support.trainings import TrialFolder, after_step, assert_as_if_never_interrupted, interrupt

from tuning_trainer.session import Session

# Twelve steps a fold.
FOLDS = ("--folds=3", "--epochs=3", "--batch-size=256", "--dropout=0.3")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrialFolder:
    folder = TrialFolder(tmp_path_factory.mktemp("whole"))
    assert folder.attempt(*FOLDS) == 0
    return folder


def test_every_epoch_of_every_fold_is_reported(whole: TrialFolder) -> None:
    assert list(whole.reports()) == [(fold, epoch) for fold in range(3) for epoch in range(1, 4)]


def test_the_result_has_the_mean_the_spread_and_each_folds_value(whole: TrialFolder) -> None:
    result = whole.result()
    values = [result[f"val_accuracy_fold_{fold}"] for fold in range(3)]
    assert result["val_accuracy"] == pytest.approx(sum(values) / 3)
    assert result["val_accuracy_stddev"] > 0
    assert result["epochs"] == 3
    assert len(set(values)) > 1


@pytest.mark.parametrize("fold", range(3))
def test_a_fold_that_runs_alone_is_the_same_as_among_the_others(trial: TrialFolder, whole: TrialFolder, fold: int) -> None:
    assert trial.attempt(*FOLDS, TUNING_FOLD=str(fold)) == 0
    assert trial.result()["val_accuracy"] == whole.result()[f"val_accuracy_fold_{fold}"]
    assert trial.reports() == {key: metrics for key, metrics in whole.reports().items() if key[0] == fold}


def test_a_finished_fold_is_never_trained_again(trial: TrialFolder, whole: TrialFolder) -> None:
    with after_step(20, interrupt):
        assert trial.attempt(*FOLDS) == 75
    begun: list[int] = []
    begin = Session.begin

    def noted(self: Session, fold: int, *args: Any, **kwargs: Any) -> None:
        begun.append(fold)
        begin(self, fold, *args, **kwargs)

    with mock.patch.object(Session, "begin", noted):
        assert trial.attempt(*FOLDS) == 0
    assert begun == [1, 2]
    assert_as_if_never_interrupted(trial, whole)


def test_folds_are_kept_apart_from_a_single_one(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with after_step(14, interrupt):
        assert trial.attempt(*FOLDS) == 75
    assert trial.attempt(*FOLDS, TUNING_FOLD="1") == 0
    assert "belongs to another training: its fold is None, this one's is 1" in capsys.readouterr().err


def test_a_fold_that_diverged_ends_the_training(trial: TrialFolder) -> None:
    assert trial.attempt("--folds=3", "--optimizer=sgd", "--learning-rate=1e30") == 0
    assert trial.result()["val_accuracy"] == "nan"
    assert trial.result()["epochs"] == 1
    assert not (trial.path / "reports.jsonl").exists()


def test_reports_that_a_killed_attempt_may_not_have_sent_are_made_again(trial: TrialFolder, whole: TrialFolder) -> None:
    with after_step(20, interrupt):
        assert trial.attempt(*FOLDS) == 75
    (trial.path / "reports.jsonl").unlink()  # nothing arrived
    assert trial.attempt(*FOLDS) == 0
    made, expected = trial.reports(), whole.reports()
    assert set(made) == {key for key in expected if key[0] != 0}
    assert all(metrics["val_accuracy"] == expected[key]["val_accuracy"] for key, metrics in made.items())


def test_a_time_series_is_validated_on_what_comes_later(trial: TrialFolder, tmp_path: Path) -> None:
    table = tmp_path / "series.csv"
    table.write_text("x,target\n" + "".join(f"{number % 7},{number % 2}\n" for number in range(60)))
    arguments = ("--dataset=file", f"--path={table}", "--task=classification", "--split=time", "--folds=3", "--epochs=2")
    assert trial.attempt(*arguments) == 0
    assert "val_accuracy_fold_2" in trial.result()

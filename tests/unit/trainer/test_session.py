"""When a session saves, and what it does about a checkpoint that cannot be written or does not fit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.support.trainings import TrialFolder, after_step, interrupt
from torch import nn

from tuning_trainer import models, session
from tuning_trainer.checkpoint import CheckpointFile
from tuning_trainer.data import Problem
from tuning_trainer.settings import Settings

SHORT = ("--epochs=3", "--batch-size=256", "--dropout=0.3")


class Ticks:
    """A clock that each look at it moves on."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._step
        return self._now


def saves_with(trial: TrialFolder, clock: Ticks, *arguments: str) -> int:
    with (
        mock.patch.object(session, "Session", partial(session.Session, clock=clock)) as made,
        mock.patch("tuning_trainer.train.Session", made),
        mock.patch.object(CheckpointFile, "save", autospec=True) as save,
    ):
        assert trial.attempt(*SHORT, *arguments) == 0
    return save.call_count


PACES: dict[str, tuple[float, tuple[str, ...], int]] = {
    "at the end alone, when no time passes": (0.0, (), 1),
    "after every step and every epoch, when it may": (1.0, ("--checkpoint-seconds=0",), 15 + 3 * 2 + 1),
    "rarely, when it is to": (1.0, ("--checkpoint-seconds=8",), 2 + 1),
}


@pytest.mark.parametrize(("tick", "arguments", "saves"), PACES.values(), ids=PACES)
def test_it_saves(trial: TrialFolder, tick: float, arguments: tuple[str, ...], saves: int) -> None:
    assert saves_with(trial, Ticks(tick), *arguments) == saves


def test_a_checkpoint_that_cannot_be_written_ends_no_training(
    trial: TrialFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = TrialFolder(tmp_path / "whole")
    whole.path.mkdir()
    assert whole.attempt(*SHORT) == 0
    (trial.path / "checkpoints").write_text("a file where a folder should be")
    capsys.readouterr()
    assert trial.attempt(*SHORT, "--checkpoint-seconds=0") == 0
    assert capsys.readouterr().err.count(f"checkpoint {trial.checkpoint} cannot be written") == 1
    assert trial.result() == whole.result()


def test_a_checkpoint_that_cannot_be_read_is_told_and_training_starts_anew(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    trial.checkpoint.mkdir(parents=True)
    assert trial.attempt(*SHORT) == 0
    assert f"checkpoint {trial.checkpoint} cannot be read: Is a directory; training starts anew" in capsys.readouterr().err
    assert trial.result()


CHANGES = {
    "more rows": {"rows": 80},
    "another feature": {"columns": 2},
    "another class": {"classes": 3},
    "another value": {"values": 6},
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_of_other_data_is_told_and_training_starts_anew(
    trial: TrialFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, int]
) -> None:
    def write(rows: int = 60, columns: int = 1, classes: int = 2, values: int = 7) -> None:
        header = ",".join([*(f"x{column}" for column in range(columns)), "target"])
        lines = (f"{f'{number % values},' * columns}{'abc'[number % classes]}" for number in range(rows))
        (tmp_path / "table.csv").write_text("\n".join([header, *lines]))

    arguments = (*SHORT, "--dataset=file", f"--path={tmp_path / 'table.csv'}", "--batch-size=8")
    write()
    with after_step(9, interrupt):
        assert trial.attempt(*arguments) == 75
    write(**changed)
    capsys.readouterr()
    assert trial.attempt(*arguments) == 0
    said = capsys.readouterr().err
    assert "belongs to another training: its data is" in said
    assert "continues from its checkpoint" not in said

    whole = TrialFolder(tmp_path / "whole")
    whole.path.mkdir()
    assert whole.attempt(*arguments) == 0
    assert trial.result() == whole.result()


def test_a_checkpoint_goes_on_with_what_is_beside_the_training_set_otherwise(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with after_step(9, interrupt):
        assert trial.attempt(*SHORT) == 75
    otherwise = ("--checkpoint-seconds=3", "--progress=none", "--tensorboard=on", "--workers=0")
    assert trial.attempt(*SHORT, *otherwise) == 0
    assert "continues from its checkpoint after epoch 1" in capsys.readouterr().err


def test_a_checkpoint_of_a_network_that_was_changed_is_told_and_the_fold_starts_anew(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    def wider(settings: Settings, problem: Problem) -> nn.Module:
        return build(replace(settings, hidden_units=7), problem)

    build = models.build
    with after_step(9, interrupt):
        assert trial.attempt(*SHORT) == 75
    with mock.patch.object(models, "build", wider):
        assert trial.attempt(*SHORT) == 0
    assert "is of a network of another shape; this fold starts anew" in capsys.readouterr().err


def test_a_checkpoint_between_two_steps_continues_with_the_next(trial: TrialFolder, tmp_path: Path) -> None:
    """Saved by the clock and not by a signal, then killed: nothing was told to leave."""
    whole = TrialFolder(tmp_path / "whole")
    whole.path.mkdir()
    assert whole.attempt(*SHORT) == 0

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    with pytest.raises(Killed), after_step(8, die):
        trial.attempt(*SHORT, "--checkpoint-seconds=0")
    steps: list[Any] = []
    with after_step(1, lambda: steps.append("one")):
        assert trial.attempt(*SHORT, "--checkpoint-seconds=0") == 0
    assert steps == ["one"]
    assert trial.result() == whole.result()


def test_the_checkpoint_is_gone_when_the_result_is_there(trial: TrialFolder) -> None:
    assert trial.attempt(*SHORT, "--checkpoint-seconds=0") == 0
    assert list((trial.path / "checkpoints").iterdir()) == []

"""What people see of a training while it runs."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from tuning_trainer.progress import Bar, EventFiles, Everyone, Follower, Lines, Stretch, follower
from tuning_trainer.settings import Settings


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def told(to: Follower, stretch: Stretch, *epochs: dict[str, float]) -> None:
    to.begin(stretch)
    for number, metrics in enumerate(epochs, start=1):
        for _ in range(stretch.steps):
            to.step()
        to.epoch(number, metrics)
    to.close()


def test_a_log_has_a_line_per_epoch() -> None:
    log, now = StringIO(), 0.0

    def clock() -> float:
        nonlocal now
        now += 10
        return now

    told(Lines(log, clock), Stretch(fold=None, epochs=2, steps=3), {"val_accuracy": 0.5}, {"val_accuracy": 0.75, "lr": 1e-3})
    assert log.getvalue().splitlines() == ["epoch 1/2: val_accuracy=0.5", "epoch 2/2: val_accuracy=0.75 lr=0.001"]


def test_a_log_of_quick_epochs_has_the_first_and_the_last_of_every_fold() -> None:
    log = StringIO()
    lines = Lines(log, lambda: 0.0)
    for fold in range(2):
        told(lines, Stretch(fold=fold, epochs=4, steps=1), *[{"loss": float(number)} for number in range(4)])
    assert [line.partition(":")[0] for line in log.getvalue().splitlines()] == [
        "fold 0 epoch 1/4",
        "fold 0 epoch 4/4",
        "fold 1 epoch 1/4",
        "fold 1 epoch 4/4",
    ]


def test_a_bar_shows_the_fold_the_epoch_and_the_first_metrics() -> None:
    terminal = Terminal()
    metrics = {"val_accuracy": 0.5, "val_loss": 1.0, "train_loss": 2.0, "learning_rate": 0.1}
    told(Bar(terminal), Stretch(fold=1, epochs=2, steps=3), metrics, metrics)
    shown = terminal.getvalue().split("\r")[-1]
    assert "fold 1 epoch 2/2: 100%" in shown
    assert "6/6" in shown
    assert "val_accuracy=0.5" in shown
    assert "learning_rate" not in shown


def test_a_bar_continues_where_an_earlier_attempt_was() -> None:
    terminal = Terminal()
    told(Bar(terminal), Stretch(fold=None, epochs=4, steps=3, done=6))
    assert "epoch 3/4:  50%" in terminal.getvalue()


def test_event_files_continue_without_the_epochs_that_are_repeated(tmp_path: Path) -> None:
    told(EventFiles(tmp_path), Stretch(fold=2, epochs=9, steps=3, done=7), {"loss": 0.5})
    (file,) = (tmp_path / "fold-2").iterdir()
    _version, start, epoch = events(file)
    assert (start.session_log.status, start.step) == (SessionLog.START, 3)
    assert [(value.tag, value.simple_value) for value in epoch.summary.value] == [("loss", 0.5)]
    assert epoch.step == 1


def events(file: Path) -> Iterator[Any]:
    """What an event file holds: records of a length, its checksum, the event and its checksum."""
    content = file.read_bytes()
    while content:
        (length,) = struct.unpack_from("<Q", content)
        yield Event.FromString(content[12 : 12 + length])
        content = content[12 + length + 4 :]


@pytest.mark.parametrize("epochs", [0, 1], ids=["when they are closed", "in an epoch"])
def test_event_files_on_a_full_disk_are_told_of_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], epochs: int) -> None:
    files = EventFiles(tmp_path)
    with mock.patch("tensorboardX.record_writer.open_file", side_effect=lambda _path: Path("/dev/full").open("wb")):
        for fold in range(2):
            told(files, Stretch(fold=fold, epochs=epochs, steps=1), *[{"loss": 1.0}] * epochs)
    sentence = f"event files in {tmp_path} cannot be written: No space left on device; training goes on without them"
    assert capsys.readouterr().err.splitlines() == [f"tuning_trainer: {sentence}"]


def test_event_files_without_a_folder_that_can_be_made_are_told_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "output").write_text("no folder")
    told(EventFiles(tmp_path / "output" / "tensorboard"), Stretch(fold=None, epochs=2, steps=1), {"loss": 1.0}, {"loss": 0.5})
    assert capsys.readouterr().err.count("cannot be written: Not a directory; training goes on without them") == 1


WATCHERS: dict[str, tuple[str, bool, bool, type[Follower]]] = {
    "a bar on a terminal": ("auto", True, True, Bar),
    "a bar on a study's terminal": ("auto", True, False, Bar),
    "lines in a Pod": ("auto", False, False, Lines),
    "nothing by hand without a terminal, since the client prints": ("auto", False, True, Follower),
    "a bar when asked for": ("bar", False, False, Bar),
    "lines when asked for": ("lines", True, False, Lines),
    "nothing when asked for": ("none", True, False, Follower),
}


@pytest.mark.parametrize(("setting", "terminal", "by_hand", "kind"), WATCHERS.values(), ids=WATCHERS)
def test_people_get(setting: Any, terminal: bool, by_hand: bool, kind: type[Follower]) -> None:  # noqa: FBT001
    trial: Any = mock.Mock(by_hand=by_hand)
    stream = Terminal() if terminal else StringIO()
    assert type(follower(Settings(progress=setting), trial, terminal=stream, log=StringIO())) is kind


def test_event_files_are_beside_whatever_else_is_shown(tmp_path: Path) -> None:
    trial: Any = mock.Mock(by_hand=False, output_dir=tmp_path)
    assert isinstance(follower(Settings(tensorboard="on"), trial, terminal=StringIO(), log=StringIO()), Everyone)


def test_everyone_is_told_everything() -> None:
    one, other = mock.Mock(spec=Follower), mock.Mock(spec=Follower)
    told(Everyone(one, other), Stretch(fold=None, epochs=1, steps=2), {"loss": 0.5})
    assert one.method_calls == other.method_calls
    assert [call[0] for call in one.method_calls] == ["begin", "step", "step", "epoch", "close"]


def test_what_the_client_prints_does_not_break_a_bar() -> None:
    terminal = Terminal()
    bar = Bar(terminal)
    with mock.patch.object(sys, "stdout", terminal):
        bar.begin(Stretch(fold=None, epochs=2, steps=3))
        with bar.aside():
            terminal.write("step 1: val_accuracy=0.5\n")
        bar.close()
    (line,) = [line for line in terminal.getvalue().split("\n") if "step 1" in line]
    assert line.rpartition("\r")[2] == "step 1: val_accuracy=0.5"

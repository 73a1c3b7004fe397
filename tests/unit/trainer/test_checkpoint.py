"""A checkpoint is whole and one's own, or it is refused by name."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tuning_trainer import checkpoint
from tuning_trainer.checkpoint import CheckpointFile, CheckpointRefusedError

TRAINING = {"learning_rate": 0.1, "optimizer": "adam", "seed": 3}
STATE = {"epoch": 4, "model": {"weight": torch.arange(2000.0)}, "best": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "training.checkpoint"


@pytest.fixture
def file(path: Path) -> CheckpointFile:
    return CheckpointFile(path, training=TRAINING)


def test_before_the_first_save_there_is_nothing_to_load(file: CheckpointFile) -> None:
    assert file.load() is None


def test_what_was_saved_last_is_loaded(file: CheckpointFile) -> None:
    file.save({"epoch": 1})
    file.save(STATE)
    state = file.load()
    assert state is not None
    assert (state["epoch"], state["best"]) == (4, None)
    assert torch.equal(state["model"]["weight"], torch.arange(2000.0))


def test_nothing_but_the_checkpoint_is_left(file: CheckpointFile, path: Path) -> None:
    file.save(STATE)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_cut_off_anywhere_is_refused_by_name(file: CheckpointFile, path: Path) -> None:
    file.save(STATE)
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointRefusedError, match=str(path)):
            file.load()


def test_a_file_with_a_zeroed_block_anywhere_is_refused_by_name(file: CheckpointFile, path: Path) -> None:
    file.save(STATE)
    whole = path.read_bytes()
    blocks = [at for at in range(0, len(whole), 256) if any(whole[at : at + 256])]
    for at in blocks:
        path.write_bytes(whole[:at] + bytes(256) + whole[at + 256 :])
        with pytest.raises(CheckpointRefusedError, match=str(path)):
            file.load()


def test_a_file_of_something_else_is_refused_by_name(file: CheckpointFile, path: Path) -> None:
    path.parent.mkdir()
    torch.save(STATE, path)
    with pytest.raises(CheckpointRefusedError, match=f"{path} was not written by this version of the trainer"):
        file.load()


def test_another_trainings_checkpoint_is_refused_with_the_difference(file: CheckpointFile, path: Path) -> None:
    CheckpointFile(path, training={**TRAINING, "learning_rate": 0.2}).save(STATE)
    with pytest.raises(CheckpointRefusedError, match=r"its learning_rate is 0\.2, this one's is 0\.1"):
        file.load()


def test_a_checkpoint_that_would_run_code_is_refused_and_does_not(file: CheckpointFile, path: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    payload = pickle.dumps({"training": TRAINING, "state": Trap()}, protocol=2)
    path.parent.mkdir()
    path.write_bytes(checkpoint._HEADER + hashlib.sha256(payload).digest() + payload)
    with pytest.raises(CheckpointRefusedError, match=str(path)):
        file.load()
    assert not (tmp_path / "sprung").exists()


def test_a_full_disk_leaves_the_old_checkpoint(file: CheckpointFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.save(STATE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.save({"epoch": 5})
    assert list(path.parent.iterdir()) == [path]
    state = file.load()
    assert state is not None
    assert state["epoch"] == 4


def test_two_processes_do_not_write_the_same_unfinished_file(file: CheckpointFile, path: Path) -> None:
    """The other one, in a Pod of its own with the same process id, saves in the middle of this one's save."""

    def meanwhile() -> Iterator[None]:
        with mock.patch.object(os, "fsync"), mock.patch("socket.gethostname", return_value="another-pod"):
            CheckpointFile(path, training=TRAINING).save({"epoch": 9})
        assert file.load() == {"epoch": 9}
        yield None
        yield None

    with mock.patch.object(os, "fsync", side_effect=meanwhile()):
        file.save({"epoch": 5})
    assert file.load() == {"epoch": 5}
    assert list(path.parent.iterdir()) == [path]


def test_what_killed_attempts_left_is_removed_with_the_checkpoint(file: CheckpointFile, path: Path) -> None:
    file.save(STATE)
    for name in ("training.checkpoint.pod-a-1.unfinished", "training.checkpoint.pod-b-1.unfinished", "notes.txt"):
        (path.parent / name).write_text("half a checkp")
    file.remove()
    assert [kept.name for kept in path.parent.iterdir()] == ["notes.txt"]

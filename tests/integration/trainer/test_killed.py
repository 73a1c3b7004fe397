"""Processes killed at chosen moments: what they leave behind is enough to end as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import pytest
from tests.support.trainings import TrialFolder, after_step, differences

import tuning_client
from tuning_trainer.checkpoint import CheckpointFile

SHORT = ("--epochs=3", "--batch-size=256", "--dropout=0.3")


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def call(number: int, of: Callable[..., object], action: Callable[..., object]) -> Callable[..., object]:
    """A function that does `action` before its call of that number, counted from 1."""
    calls = 0

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return of(*args, **kwargs)

    return counted


# Where a training of three epochs with five steps each is killed. Each save calls os.fsync twice: file, then folder.
MOMENTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "before the first checkpoint": lambda: after_step(3, die),
    "in the middle of an epoch": lambda: after_step(8, die),
    "between report and checkpoint": lambda: mock.patch.object(CheckpointFile, "save", call(2, CheckpointFile.save, die)),
    "while it writes a checkpoint": lambda: mock.patch.object(os, "fsync", call(3, os.fsync, die)),
    "after a checkpoint took its place": lambda: mock.patch.object(os, "fsync", call(4, os.fsync, die)),
    "between the last checkpoint and the result": lambda: mock.patch.object(tuning_client.Trial, "result", die),
}


def run_until_killed(folder: TrialFolder, moment: str) -> None:
    """In a process of its own."""
    with MOMENTS[moment]():
        sys.exit(folder.attempt(*SHORT))


@pytest.fixture(scope="module")
def process_with_torch() -> multiprocessing.context.ForkServerContext:
    """Starts processes that need not import torch, which takes seconds: they fork from one that has."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tuning_trainer.train", "torch._dynamo"])
    return context


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> TrialFolder:
    folder = TrialFolder(tmp_path_factory.mktemp("unharmed"))
    assert folder.attempt(*SHORT) == 0
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_training_killed_ends_as_if_it_had_not_been(
    moment: str, tmp_path: Path, unharmed: TrialFolder, process_with_torch: multiprocessing.context.ForkServerContext
) -> None:
    folder = TrialFolder(tmp_path)
    killed = process_with_torch.Process(target=run_until_killed, args=(folder, moment))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not (tmp_path / "result.json").exists()

    assert folder.attempt(*SHORT) == 0
    assert folder.result() == unharmed.result()
    assert differences(folder.final_state(), unharmed.final_state()) == []


def test_the_command_trains_as_a_trial_and_exits_with_its_codes(tmp_path: Path, unharmed: TrialFolder) -> None:
    folder = TrialFolder(tmp_path)
    command = [sys.executable, "-m", "tuning_trainer", "--dataset=digits", "--model=mlp"]
    environment = {**os.environ, **folder.environment({"dropout": 0.3}, 0)}

    refused = subprocess.run([*command, "--epochz=3"], env=environment, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (78, "")
    assert refused.stderr.endswith("--epochz=3 is not a setting; did you mean --epochs?\n")

    subprocess.run([*command, "--epochs=3", "--batch-size=256"], env=environment, check=True)
    assert folder.result() == unharmed.result()

"""Processes interrupted and killed at chosen and at random moments end as if nothing had happened, to the last bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.support.trainings import TrialFolder, after_step, assert_as_if_never_interrupted

import tuning_client
from tuning_trainer.checkpoint import CheckpointFile
from tuning_trainer.session import Session

# Five steps an epoch; a checkpoint after each of them, after validating and after the report.
SHORT = ("--epochs=3", "--batch-size=256", "--dropout=0.3", "--checkpoint-seconds=0")


def end_by(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def call(number: int, of: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    """A function that dies before, or after, its call of that number, counted from 1."""
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and before:
            end_by(signal.SIGKILL)
        answer = of(*args, **kwargs)
        if calls == number:
            end_by(signal.SIGKILL)
        return answer

    return counted


def dying(owner: Any, method: str, number: int, *, before: bool = True) -> AbstractContextManager[object]:
    return mock.patch.object(owner, method, call(number, getattr(owner, method), before=before))


# Each save calls os.fsync twice: file, then folder.
MOMENTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "before the first step": lambda: dying(Session, "begin", 1),
    "in the middle of an epoch": lambda: after_step(8, partial(end_by, signal.SIGKILL)),
    "between report and checkpoint": lambda: dying(Session, "_report", 2, before=False),
    "while it writes a checkpoint": lambda: dying(os, "fsync", 9),
    "after a checkpoint took its place": lambda: dying(os, "fsync", 10),
    "between the last checkpoint and the result": lambda: dying(tuning_client.Trial, "result", 1),
    "between the result and the end of the checkpoint": lambda: dying(CheckpointFile, "remove", 1),
}

VARIANTS: dict[str, tuple[str, ...]] = {
    "mlp, Adam": (),
    "mlp, SGD, one cycle": ("--optimizer=sgd", "--learning-rate=0.1", "--schedule=one_cycle"),
    "mlp, SGD, cosine after a warm-up": (
        "--optimizer=sgd",
        "--learning-rate=0.1",
        "--schedule=cosine",
        "--warmup-epochs=1.3",
    ),
    "cnn, dropout": ("--model=cnn", "--hidden-units=4"),
    "three folds": ("--folds=3",),
    "steps of two batches": ("--batch-size=128", "--accumulation=2"),
    "plateau, patience": ("--schedule=plateau", "--decay-epochs=1", "--learning-rate=0.05", "--patience=2"),
}


def run(folder: TrialFolder, arguments: tuple[str, ...], disturbed: Callable[[], AbstractContextManager[object]]) -> None:
    """In a process of its own."""
    with disturbed():
        sys.exit(folder.attempt(*arguments))


def run_until_killed(folder: TrialFolder, moment: str) -> None:
    """In a process of its own."""
    run(folder, SHORT, MOMENTS[moment])


def run_until_step(folder: TrialFolder, arguments: tuple[str, ...], step: int, number: signal.Signals) -> None:
    """In a process of its own."""
    run(folder, arguments, lambda: after_step(step, partial(end_by, number)))


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Starts processes that need not import torch, which takes seconds: they fork from one that has."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tuning_trainer.train", "torch._dynamo"])
    return context


def exit_code(process: multiprocessing.context.ForkServerProcess) -> int | None:
    process.start()
    process.join()
    return process.exitcode


def whole(path: Path, *arguments: str) -> TrialFolder:
    """A training that nobody disturbs."""
    folder = TrialFolder(path)
    folder.path.mkdir(exist_ok=True)
    assert folder.attempt(*arguments) == 0
    return folder


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> TrialFolder:
    return whole(tmp_path_factory.mktemp("unharmed"), *SHORT)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_training_killed_ends_as_if_it_had_not_been(
    moment: str, tmp_path: Path, unharmed: TrialFolder, processes: multiprocessing.context.ForkServerContext
) -> None:
    folder = TrialFolder(tmp_path)
    assert exit_code(processes.Process(target=run_until_killed, args=(folder, moment))) == -signal.SIGKILL
    assert folder.attempt(*SHORT) == 0
    assert_as_if_never_interrupted(folder, unharmed)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_that_ends_at_a_random_step_of_each_epoch_ends_as_if_it_had_not(
    variant: str, tmp_path: Path, processes: multiprocessing.context.ForkServerContext
) -> None:
    arguments = (*SHORT, *VARIANTS[variant])
    expected = whole(tmp_path / "whole", *arguments)
    folder = TrialFolder(tmp_path / "disturbed")
    folder.path.mkdir()
    draw = random.Random(variant)
    steps_of_an_epoch = 4 if "--folds=3" in arguments else 5
    signals = [signal.SIGTERM, signal.SIGKILL]
    done = 0
    for epoch in range(len(expected.reports())):
        step = epoch * steps_of_an_epoch + draw.randint(1, steps_of_an_epoch)
        number = draw.choice(signals)
        ended = exit_code(processes.Process(target=run_until_step, args=(folder, arguments, step - done, number)))
        assert ended == (75 if number == signal.SIGTERM else -number), f"epoch {epoch + 1}, step {step}"
        # A step under way when SIGKILL came was not saved.
        done = step if number == signal.SIGTERM else step - 1
    assert folder.attempt(*arguments) == 0
    assert_as_if_never_interrupted(folder, expected)


@contextmanager
def the_command(folder: TrialFolder, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m tuning_trainer` as a study starts it."""
    command = [sys.executable, "-m", "tuning_trainer", *arguments]
    environment = {**os.environ, **folder.environment()}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_command_interrupted_from_outside_continues_and_has_the_same_result(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    arguments = ("--epochs=400", "--dropout=0.3", "--checkpoint-seconds=0.05")
    folder = TrialFolder(tmp_path)
    with the_command(folder, *arguments) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch 1/400: ")
        process.send_signal(number)
        process.communicate()
        assert process.returncode == code
    assert not (tmp_path / "result.json").exists()
    assert folder.attempt(*arguments) == 0
    assert folder.result() == whole(tmp_path / "whole", *arguments).result()


def test_the_command_exits_with_its_codes(tmp_path: Path, unharmed: TrialFolder) -> None:
    folder = TrialFolder(tmp_path)
    with the_command(folder, "--epochz=3") as process:
        said, error = process.communicate()
        assert (process.returncode, said) == (78, "")
        assert error.endswith("--epochz=3 is not a setting; did you mean --epochs?\n")
    with the_command(folder, *SHORT) as process:
        process.communicate()
        assert process.returncode == 0
    assert folder.result() == unharmed.result()

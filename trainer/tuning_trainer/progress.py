"""How people follow a training: a bar on a terminal, a line per epoch in a log, curves in TensorBoard."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from tqdm import tqdm

from tuning_client import ConfigurationError, Trial
from tuning_trainer.console import say
from tuning_trainer.settings import Settings

_SECONDS_BETWEEN_LINES: Final = 1.0
_SECONDS_BETWEEN_FLUSHES: Final = 10.0
_SHOWN: Final = 3
"""Metrics beside a bar."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The part of a training that begins or goes on: a fold, or all of it.

    Args:
        fold: None where there is but one split.
        epochs: that it has at most.
        steps: of an epoch.
        done: steps of it that earlier attempts did.
    """

    fold: int | None
    epochs: int
    steps: int
    done: int = 0

    @property
    def first_epoch(self) -> int:
        """The epoch in which it begins or goes on, counted from 1."""
        return 1 + self.done // max(self.steps, 1)

    def describe(self, epoch: int) -> str:
        """An epoch as people see it."""
        return f"{'' if self.fold is None else f'fold {self.fold} '}epoch {epoch}/{self.epochs}"


class Follower:
    """Somebody who follows a training; this one looks away. Told of each step, a follower must be quick."""

    def begin(self, stretch: Stretch) -> None:
        """A fold begins or goes on."""

    def step(self) -> None:
        """A step was made."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """An epoch, counted from 1, is done."""

    def aside(self) -> AbstractContextManager[Any]:
        """While somebody else writes to the terminal."""
        return nullcontext()

    def close(self) -> None:
        """The training is over."""


class Lines(Follower):
    """A line per epoch, but no more than one a second beside the first and the last: for a Pod's log.

    Args:
        stream: where to.
        clock: in seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._stretch = Stretch(fold=None, epochs=0, steps=0)
        self._next = float("-inf")

    def begin(self, stretch: Stretch) -> None:
        """See `Follower`."""
        self._stretch = stretch
        self._next = float("-inf")

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """See `Follower`."""
        if self._clock() >= self._next or number == self._stretch.epochs:
            self._next = self._clock() + _SECONDS_BETWEEN_LINES
            figures = " ".join(f"{name}={value:.6g}" for name, value in metrics.items())
            self._stream.write(f"{self._stretch.describe(number)}: {figures}\n")
            self._stream.flush()


class Bar(Follower):
    """A bar over all steps of a fold, with the epoch and its first metrics."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stretch = Stretch(fold=None, epochs=0, steps=0)
        self._bar: tqdm[Any] | None = None

    def begin(self, stretch: Stretch) -> None:
        """See `Follower`."""
        self.close()
        self._stretch = stretch
        self._bar = tqdm(
            total=stretch.epochs * stretch.steps,
            initial=stretch.done,
            desc=stretch.describe(stretch.first_epoch),
            unit="step",
            file=self._stream,
            dynamic_ncols=True,
        )

    def step(self) -> None:
        """See `Follower`."""
        if self._bar is not None:
            self._bar.update()

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """See `Follower`."""
        if self._bar is not None:
            shown = {name: f"{metrics[name]:.4g}" for name in list(metrics)[:_SHOWN]}
            self._bar.set_description(self._stretch.describe(min(number + 1, self._stretch.epochs)), refresh=False)
            self._bar.set_postfix(shown, refresh=False)

    def aside(self) -> AbstractContextManager[Any]:
        """See `Follower`."""
        outside: AbstractContextManager[Any] = tqdm.external_write_mode(file=sys.stdout)
        return outside

    def close(self) -> None:
        """See `Follower`."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class EventFiles(Follower):
    """Curves for TensorBoard, those of each fold in a folder of its own. Given up once that cannot be written.

    Args:
        folder: made when training begins.
        clock: in seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._given_up = False
        # Not a SummaryWriter: its thread dies on a full disk, and who gives it more than ten values then waits for ever.
        self._writer: Any = None
        self._next_flush = float("-inf")

    def begin(self, stretch: Stretch) -> None:
        """See `Follower`."""
        # Takes a second to import, and few want it.
        from tensorboardX.proto.event_pb2 import Event, SessionLog  # noqa: PLC0415
        from tensorboardX.record_writer import RecordWriter  # noqa: PLC0415

        self.close()
        if self._given_up:
            return
        folder = self._folder if stretch.fold is None else self._folder / f"fold-{stretch.fold}"
        with self._giving_up():
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = RecordWriter(str(folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"))
            self._write(Event(file_version="brain.Event:2"))
            # An attempt that was killed may have written epochs that are now repeated.
            self._write(Event(step=stretch.first_epoch, session_log=SessionLog(status=SessionLog.START)))

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """See `Follower`."""
        if self._writer is None:
            return
        from tensorboardX.proto.event_pb2 import Event  # noqa: PLC0415
        from tensorboardX.summary import scalar  # noqa: PLC0415

        with self._giving_up():
            for name, value in metrics.items():
                self._write(Event(step=number, summary=scalar(name, value)))
            if self._clock() >= self._next_flush:
                self._writer.flush()
                self._next_flush = self._clock() + _SECONDS_BETWEEN_FLUSHES

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._writer is not None:
                with suppress(OSError):  # what it still holds cannot be written either
                    self._writer.close()
            self._writer, self._given_up = None, True
            say(f"event files in {self._folder} cannot be written: {error.strerror or error}; training goes on without them")

    def close(self) -> None:
        """See `Follower`."""
        if self._writer is not None:
            with self._giving_up():
                self._writer.close()
            self._writer = None


class Everyone(Follower):
    """Several followers as one."""

    def __init__(self, *followers: Follower) -> None:
        self._followers = followers

    def begin(self, stretch: Stretch) -> None:
        """See `Follower`."""
        for follower in self._followers:
            follower.begin(stretch)

    def step(self) -> None:
        """See `Follower`."""
        for follower in self._followers:
            follower.step()

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """See `Follower`."""
        for follower in self._followers:
            follower.epoch(number, metrics)

    def aside(self) -> AbstractContextManager[Any]:
        """See `Follower`."""
        return self._followers[0].aside()

    def close(self) -> None:
        """See `Follower`."""
        for follower in self._followers:
            follower.close()


def follower(settings: Settings, trial: Trial, *, terminal: TextIO, log: TextIO) -> Follower:
    """Whoever follows this training.

    By hand the client prints a line per epoch itself.

    Raises:
        ConfigurationError: event files are asked for and have no folder.
    """
    watcher = _watcher(settings, trial, terminal=terminal, log=log)
    if settings.tensorboard == "off":
        return watcher
    if trial.output_dir is None:
        raise ConfigurationError(
            "--tensorboard: 'on' has no folder to write to; set TUNING_OUTPUT_DIR to one, or give --tensorboard=off"
        )
    return Everyone(watcher, EventFiles(trial.output_dir / "tensorboard"))


def _watcher(settings: Settings, trial: Trial, *, terminal: TextIO, log: TextIO) -> Follower:
    if settings.progress == "bar" or (settings.progress == "auto" and terminal.isatty()):
        return Bar(terminal)
    if settings.progress == "none" or trial.by_hand:
        return Follower()
    return Lines(log)

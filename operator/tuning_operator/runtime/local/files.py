"""The directory of one study on this machine: what is where, and what its files say of an attempt."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tuning_operator.api.contract import RESULT_LIMIT, ResultError
from tuning_operator.runtime.local.shim import EXIT_FILE, LAUNCH_FILE, LOCK_FILE, LOG_FILE, PROCESS_FILE
from tuning_operator.runtime.protocol import AttemptKey

_TRIAL: Final = re.compile(r"\d{5,}")
_ATTEMPT: Final = re.compile(r"attempt-(\d+)")
_TAIL_BYTES: Final = 4096


@dataclass(frozen=True)
class AttemptFiles:
    """The files of one attempt."""

    directory: Path

    @property
    def launch(self) -> Path:
        """What the shim runs. Its absence means that nothing is kept of the attempt but its log."""
        return self.directory / LAUNCH_FILE

    @property
    def result(self) -> Path:
        """The trial's result file."""
        return self.directory / "result.json"

    @property
    def token(self) -> Path:
        """The trial's token for the gateway."""
        return self.directory / "token"

    @property
    def lock(self) -> Path:
        """Locked while the attempt may be running."""
        return self.directory / LOCK_FILE

    def exit_record(self) -> dict[str, Any] | None:
        """What the shim wrote at the end; None while there is nothing that can be read."""
        with contextlib.suppress(OSError, ValueError):
            record = json.loads((self.directory / EXIT_FILE).read_text(encoding="utf-8"))
            return record if isinstance(record, dict) else None
        return None

    def process_group(self) -> int | None:
        """The process group of the trial; None when it is not known."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads((self.directory / PROCESS_FILE).read_text(encoding="utf-8"))["pgid"])
        return None

    def incarnation(self) -> str | None:
        """Which study of this directory the attempt belongs to; None when nothing is kept of it."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(self.launch.read_text(encoding="utf-8"))["incarnation"])
        return None

    def result_text(self) -> str:
        """Content of the result file, stripped; empty without one.

        Raises:
            ResultError: the trial left something there that is not a file, or not readable.
        """
        try:
            # Never waits, whatever the trial put there: a FIFO opens at once.
            descriptor = os.open(self.result, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise ResultError(f"the result file cannot be read: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ResultError("the result file is no regular file; write one JSON object into TUNING_RESULT_FILE")
            return os.read(descriptor, RESULT_LIMIT + 1).decode(errors="replace").strip()
        finally:
            os.close(descriptor)

    def log_tail(self) -> str:
        """The last part of the log."""
        with contextlib.suppress(OSError), (self.directory / LOG_FILE).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().decode(errors="replace")
        return ""

    def take_lock(self) -> int | None:
        """Lock the attempt; the file descriptor, or None while its process, or its shim, holds the lock."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def clear(self) -> None:
        """Remove what an attempt of an earlier study in this directory may have left."""
        for name in (EXIT_FILE, PROCESS_FILE, LOG_FILE):
            (self.directory / name).unlink(missing_ok=True)
        if self.result.is_dir():
            shutil.rmtree(self.result)
        self.result.unlink(missing_ok=True)

    def release(self) -> None:
        """Forget all but the log and the result."""
        for name in (self.token, self.launch):
            name.unlink(missing_ok=True)


@dataclass(frozen=True)
class StudyFiles:
    """The directory of a study."""

    root: Path

    def attempt(self, key: AttemptKey) -> AttemptFiles:
        """Where an attempt lives."""
        return AttemptFiles(self._trial(key.trial) / f"attempt-{key.attempt}")

    def checkpoints(self, trial: int) -> Path:
        """Where a trial keeps its checkpoints, whichever its attempt."""
        return self._trial(trial) / "checkpoints"

    def output(self, trial: int) -> Path:
        """Where a trial leaves what is worth keeping."""
        return self._trial(trial) / "output"

    def drop_checkpoints(self, trial: int) -> None:
        """Remove a trial's checkpoints: it will not be resumed any more."""
        shutil.rmtree(self.checkpoints(trial), ignore_errors=True)

    def kept(self, incarnation: str) -> Iterator[AttemptKey]:
        """Every attempt of this incarnation of the study that was started and not released."""
        trials = self.root / "trials"
        for trial in sorted(trials.iterdir()) if trials.is_dir() else ():
            if not _TRIAL.fullmatch(trial.name):
                continue
            for directory in sorted(trial.iterdir()):
                match = _ATTEMPT.fullmatch(directory.name)
                if match and AttemptFiles(directory).incarnation() == incarnation:
                    yield AttemptKey(int(trial.name), int(match.group(1)))

    def _trial(self, number: int) -> Path:
        return self.root / "trials" / f"{number:05d}"

"""The directory of one study on this machine: what is where, and what its files say of an attempt."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tuning_operator.runtime.local.shim import EXIT_FILE, LAUNCH_FILE, LOCK_FILE, LOG_FILE
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
        """What the shim wrote at the end; None while there is none."""
        with contextlib.suppress(FileNotFoundError):
            record: dict[str, Any] = json.loads((self.directory / EXIT_FILE).read_text())
            return record
        return None

    def result_text(self) -> str:
        """Content of the result file, empty without one."""
        with contextlib.suppress(FileNotFoundError):
            return self.result.read_text(errors="replace")
        return ""

    def log_tail(self) -> str:
        """The last part of the log."""
        with contextlib.suppress(FileNotFoundError), (self.directory / LOG_FILE).open("rb") as log:
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

    def kept(self) -> Iterator[AttemptKey]:
        """Every attempt that was started and not released."""
        trials = self.root / "trials"
        for trial in sorted(trials.iterdir()) if trials.is_dir() else ():
            if not _TRIAL.fullmatch(trial.name):
                continue
            for directory in sorted(trial.iterdir()):
                match = _ATTEMPT.fullmatch(directory.name)
                if match and (directory / LAUNCH_FILE).exists():
                    yield AttemptKey(int(trial.name), int(match.group(1)))

    def _trial(self, number: int) -> Path:
        return self.root / "trials" / f"{number:05d}"

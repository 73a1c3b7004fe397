"""Programs in the background that are stopped in any case: at the end, or by the next run when this one is killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from tests.cluster.waiting import until

_GRACE: Final = 10.0
_LAST_LINES: Final = 15


class ProgramError(RuntimeError):
    """A program ended, or is not ready in time; the text has the end of its log."""


@dataclass(frozen=True)
class Identity:
    """A process for sure: pids are used again, a pid with a start time is not."""

    pid: int
    started: int
    """Clock ticks since the machine's start."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has the pid now; None if there is none, or only its exit code is left."""
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name, in parentheses, may itself have spaces and parentheses.
        fields = status.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return Identity.of(self.pid) == self

    def end(self, *, grace: float = _GRACE) -> None:
        """Ask it to end, insist after so many seconds, and return when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # The handle is of whoever had the pid when it was opened.
            if self.alive:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
                if not select.select([handle], [], [], grace)[0]:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    select.select([handle], [], [])
        finally:
            os.close(handle)

    def write(self, file: Path) -> None:
        """Leave it for a later run; the file is whole or absent."""
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.rename(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `write` left."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))


class Programs:
    """Programs with their logs and identities in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, tuple[Sequence[str | Path], Mapping[str, str] | None]] = {}

    def start(self, name: str, command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> None:
        """Start a program in a session of its own: Ctrl-C in a terminal ends the tests, and these end it in order.

        Args:
            name: by which it is known here.
            command: the program and its arguments.
            environment: all of its variables; None for those of this process.
        """
        self._commands[name] = command, environment
        # One that is started again goes on in its log.
        with (self._folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._children[name] = child
        if identity := Identity.of(child.pid):
            identity.write(self._folder / f"{name}.pid")

    def wait(self, name: str, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return once the program is ready.

        Raises:
            ProgramError: it ended before, or the time is over.
        """
        child = self._children[name]

        def alive_and_ready() -> bool:
            if child.poll() is not None:
                raise ProgramError(f"{name} ended: {self._last_lines(name)}")
            return ready()

        try:
            until(alive_and_ready, seconds=seconds, what=f"{name} is ready")
        except TimeoutError as error:
            raise ProgramError(f"{error}: {self._last_lines(name)}") from None

    def pid(self, name: str) -> int:
        """The process of a started program."""
        return self._children[name].pid

    def runs(self, name: str) -> bool:
        """Whether a program was started and has not ended."""
        return name in self._children and self._children[name].poll() is None

    def kill(self, name: str) -> None:
        """End a program at once, by a signal that it cannot see."""
        self._children[name].kill()
        self._children[name].wait()

    def ask_to_end(self, name: str, *, seconds: float = _GRACE) -> int:
        """Send SIGTERM, and return the exit code.

        Raises:
            TimeoutExpired: it has not ended after so many seconds.
        """
        self._children[name].terminate()
        return self._children[name].wait(seconds)

    def start_again(self, name: str) -> None:
        """Start a program that has ended, as before."""
        command, environment = self._commands[name]
        self.start(name, command, environment=environment)

    def stop(self) -> None:
        """End them all."""
        end_all(self._folder)
        for child in self._children.values():
            child.wait()

    def _last_lines(self, name: str) -> str:
        log = (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(log.splitlines()[-_LAST_LINES:])


def end_all(folder: Path, *, grace: float = _GRACE) -> None:
    """End the programs whose identities a folder holds, the newest first: what needs another was started after it."""
    for file in sorted(folder.glob("*.pid"), key=lambda file: file.stat().st_mtime_ns, reverse=True):
        Identity.read(file).end(grace=grace)
        file.unlink()

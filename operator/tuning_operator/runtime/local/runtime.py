"""Trials as processes of this machine, each under a shim that outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tuning_operator.api.contract import Places
from tuning_operator.engine.facts import Observation, Phase
from tuning_operator.runtime.local import shim
from tuning_operator.runtime.local.command import LocalCommand
from tuning_operator.runtime.local.files import AttemptFiles, StudyFiles
from tuning_operator.runtime.local.outcome import ExitRecord, ended, lost
from tuning_operator.runtime.protocol import AttemptKey, Launch

_log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 10.0
"""Between SIGTERM and SIGKILL: time for a checkpoint."""

_ORPHAN_POLL_SECONDS: Final = 0.05
_ORPHAN_MARGIN_SECONDS: Final = 5.0
_SHIM: Final = Path(shim.__file__)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How a trial reaches the gateway."""

    endpoint: str
    issue: Callable[[AttemptKey], str]  # a new token for an attempt
    revoke: Callable[[AttemptKey], None]


class LocalRuntime:
    """Runs the attempts of one study below one directory.

    Implements `runtime.protocol.Runtime`. To be used on one event loop, between `open` and `close`.
    """

    def __init__(
        self,
        root: Path,
        command: LocalCommand,
        credentials: Credentials,
        *,
        changed: Callable[[], None],
        grace: float = GRACE_SECONDS,
    ) -> None:
        """Prepare; nothing is read or started yet.

        Args:
            root: directory of the study; attempts live below its ``trials``.
            command: what stands for the container.
            credentials: how a trial reaches the gateway.
            changed: called whenever an observation has changed.
            grace: seconds between SIGTERM and SIGKILL.
        """
        self._files = StudyFiles(root)
        self._command = command
        self._credentials = credentials
        self._changed = changed
        self._grace = grace
        self._observed: dict[AttemptKey, Observation] = {}
        self._shims: dict[AttemptKey, asyncio.subprocess.Process] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    # Life

    async def open(self) -> None:
        """Find what an earlier process left: ended attempts, and orphans that are being stopped by their shims."""
        for key in self._files.kept():
            self._adopt(key)

    async def close(self) -> None:
        """Stop every attempt and wait until each has left its record. A later `open` observes them."""
        for key in list(self._shims):
            await self.stop(key)
        await asyncio.gather(*self._watchers)

    def _adopt(self, key: AttemptKey) -> None:
        files = self._files.attempt(key)
        descriptor = files.take_lock()
        if descriptor is None:
            # Its shim lost its parent and is ending it; its record is about to come.
            self._observed[key] = Observation(phase=Phase.RUNNING, started_at=files.launch.stat().st_mtime, stopping=True)
            self._watch(self._wait_for_orphan(key))
            return
        os.close(descriptor)
        self._observe_end(key)

    # Runtime

    def observe(self) -> Mapping[AttemptKey, Observation]:
        """Every attempt that it knows and has not released."""
        return self._observed

    async def start(self, launch: Launch) -> None:
        """Run an attempt under a shim."""
        key = launch.key
        if key in self._observed:
            return
        files = self._files.attempt(key)
        files.directory.mkdir(parents=True, exist_ok=True)
        descriptor = files.take_lock()
        assert descriptor is not None, "an attempt that runs is observed"
        try:
            self._write_launch(launch, files, descriptor)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-S",
                "-E",
                str(_SHIM),
                str(files.directory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                # A shim must not die of Ctrl-C on the terminal: it belongs to a session of its own.
                start_new_session=True,
                pass_fds=[descriptor],
            )
        finally:
            os.close(descriptor)
        self._shims[key] = process
        self._observed[key] = Observation(phase=Phase.RUNNING, started_at=time.time())
        self._watch(self._wait_for_shim(key, process))
        self._changed()

    async def stop(self, key: AttemptKey) -> None:
        """Close the line to the shim: it ends the trial, politely first."""
        observed = self._observed.get(key)
        if observed is None or observed.phase is Phase.ENDED:
            return
        self._observed[key] = replace(observed, stopping=True)
        process = self._shims.get(key)
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self._changed()

    async def release(self, key: AttemptKey, *, final: bool) -> None:
        """Forget an ended attempt; its log and its result stay for people, checkpoints go with the trial."""
        if final:
            self._files.drop_checkpoints(key.trial)
        self._files.attempt(key).release()
        self._credentials.revoke(key)
        self._observed.pop(key, None)

    # Inside

    def _write_launch(self, launch: Launch, files: AttemptFiles, lock: int) -> None:
        number = launch.key.trial
        for directory in (self._files.checkpoints(number), self._files.output(number)):
            directory.mkdir(parents=True, exist_ok=True)
        files.token.touch(mode=0o600)
        files.token.write_text(self._credentials.issue(launch.key))
        files.result.unlink(missing_ok=True)
        places = Places(
            result_file=str(files.result.absolute()),
            checkpoint_dir=str(self._files.checkpoints(number).absolute()),
            output_dir=str(self._files.output(number).absolute()),
            endpoint=self._credentials.endpoint,
            token_file=str(files.token.absolute()),
        )
        argv, added = self._command.resolve({**launch.environment, **places.environment()})
        document = {
            "argv": argv,
            "environment": {**os.environ, **added},
            "cwd": self._command.cwd,
            "grace": self._grace,
            "lock_fd": lock,
        }
        shim.write_atomically(files.launch, document)

    def _watch(self, wait: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(wait)
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _wait_for_shim(self, key: AttemptKey, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._shims.pop(key, None)
        if self._files.attempt(key).exit_record() is None:
            self._end_trial_without_shim(key)
        self._observe_end(key)

    async def _wait_for_orphan(self, key: AttemptKey) -> None:
        files = self._files.attempt(key)
        overdue = time.monotonic() + self._grace + _ORPHAN_MARGIN_SECONDS
        while (descriptor := files.take_lock()) is None:
            await asyncio.sleep(_ORPHAN_POLL_SECONDS)
            if time.monotonic() > overdue:
                self._end_trial_without_shim(key)
        os.close(descriptor)
        self._observe_end(key)

    def _end_trial_without_shim(self, key: AttemptKey) -> None:
        """Somebody killed the shim: end its trial too, so that two attempts never run at once."""
        process_file = self._files.attempt(key).directory / "process.json"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(json.loads(process_file.read_text())["pgid"], signal.SIGKILL)
            _log.warning("trial %d: its shim was killed; ended its process group", key.trial)

    def _observe_end(self, key: AttemptKey) -> None:
        files = self._files.attempt(key)
        document = files.exit_record()
        started = files.launch.stat().st_mtime
        if document is None:
            end = lost(time.time())
        else:
            record = ExitRecord.of(document)
            started = record.started_at
            end = ended(record, result_text=files.result_text(), log_tail=files.log_tail())
        self._observed[key] = Observation(phase=Phase.ENDED, started_at=started, ended=end)
        self._changed()

"""Trials as processes of this machine, each under a shim that outlives us."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tuning_operator.api.contract import Places, ResultError
from tuning_operator.engine.facts import Observation, Phase, Role, StudyCause
from tuning_operator.runtime.local import shim
from tuning_operator.runtime.local.command import LocalCommand
from tuning_operator.runtime.local.files import AttemptFiles, StudyFiles
from tuning_operator.runtime.local.outcome import ExitRecord, ended, lost
from tuning_operator.runtime.protocol import AttemptKey, Launch, RuntimeUnavailableError

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


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the attempts of one study live."""

    root: Path  # attempts live below its `trials`
    incarnation: str  # of the study: what an earlier one left in the same place is not taken for its own


class LocalRuntime:
    """Runs the attempts of one study below one directory.

    Implements `runtime.protocol.Runtime`. To be used on one event loop, between `open` and `close`.
    """

    def __init__(
        self,
        place: Place,
        command: LocalCommand,
        credentials: Credentials,
        *,
        final: LocalCommand | None = None,
        changed: Callable[[], None],
        grace: float = GRACE_SECONDS,
    ) -> None:
        """Prepare; nothing is read or started yet.

        Args:
            place: where the attempts live.
            command: what stands for the container.
            credentials: how a trial reaches the gateway.
            final: what stands for it in runs of the final evaluation; None: the same.
            changed: called whenever an observation has changed.
            grace: seconds between SIGTERM and SIGKILL.
        """
        self._place = place
        self._files = StudyFiles(place.root)
        self._command = command
        self._final = final or command
        self._credentials = credentials
        self._changed = changed
        self._grace = grace
        self._observed: dict[AttemptKey, Observation] = {}
        self._shims: dict[AttemptKey, asyncio.subprocess.Process] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._abandoned = False

    # Life

    async def open(self) -> None:
        """Find what an earlier process left: ended attempts, and orphans that are being stopped by their shims."""
        for key in self._files.kept(self._place.incarnation):
            self._adopt(key)

    def abandon(self) -> None:
        """Let `close` not wait: the shims end the attempts by themselves, and a later `open` observes how."""
        self._abandoned = True

    async def close(self) -> None:
        """Stop every attempt and wait until each has left its record. A later `open` observes them."""
        for key in list(self._shims):
            await self.stop(key)
        if self._abandoned:
            for watcher in self._watchers:
                watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)

    def _adopt(self, key: AttemptKey) -> None:
        files = self._files.attempt(key)
        # With a record it has ended, whoever may still hold the lock: a daemon that it left behind, for one.
        descriptor = None if files.exit_record() else files.take_lock()
        if files.exit_record() is None and descriptor is None:
            # Its shim lost its parent and is ending it; its record is about to come.
            self._observed[key] = Observation(phase=Phase.RUNNING, started_at=time.time(), stopping=True)
            self._watch(key, self._wait_for_orphan(key))
            return
        if descriptor is not None:
            os.close(descriptor)
        self._observe_end(key)

    # Runtime

    def observe(self) -> Mapping[AttemptKey, Observation]:
        """Every attempt that it knows and has not released."""
        return self._observed

    def causes(self) -> tuple[StudyCause, ...]:
        """None: what a machine has no room for ends as a failure."""
        return ()

    async def start(self, launch: Launch) -> None:
        """Run an attempt under a shim.

        Raises:
            RuntimeUnavailableError: this machine cannot start a process now.
        """
        if launch.key in self._observed:
            return
        try:
            process = await self._start_shim(launch, self._files.attempt(launch.key))
        except OSError as error:
            raise RuntimeUnavailableError(f"trial {launch.key.trial} cannot be started: {error}") from error
        self._shims[launch.key] = process
        self._observed[launch.key] = Observation(phase=Phase.RUNNING, started_at=time.time())
        self._watch(launch.key, self._wait_for_shim(launch.key, process))
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
            await asyncio.to_thread(self._files.drop_checkpoints, key.trial)
        self._files.attempt(key).release()
        self._credentials.revoke(key)
        self._observed.pop(key, None)

    # Starting

    async def _start_shim(self, launch: Launch, files: AttemptFiles) -> asyncio.subprocess.Process:
        files.directory.mkdir(parents=True, exist_ok=True)
        descriptor = files.take_lock()
        if descriptor is None:
            raise RuntimeUnavailableError(f"{files.directory} is held by a process of an earlier study; it is about to end")
        try:
            files.clear()
            await asyncio.to_thread(self._write_launch, launch, files, descriptor)
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-S",
                "-E",
                str(_SHIM),
                str(files.directory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                # What it cannot write down, such as on a full disk, is observed as a lost attempt.
                stderr=asyncio.subprocess.DEVNULL,
                # A shim must not die of Ctrl-C on the terminal: it belongs to a session of its own.
                start_new_session=True,
                pass_fds=[descriptor],
            )
        finally:
            os.close(descriptor)

    def _write_launch(self, launch: Launch, files: AttemptFiles, lock: int) -> None:
        number = launch.key.trial
        for directory in (self._files.checkpoints(number), self._files.output(number)):
            directory.mkdir(parents=True, exist_ok=True)
        files.token.touch(mode=0o600)
        files.token.write_text(self._credentials.issue(launch.key), encoding="utf-8")
        places = Places(
            result_file=str(files.result.absolute()),
            checkpoint_dir=str(self._files.checkpoints(number).absolute()),
            output_dir=str(self._files.output(number).absolute()),
            endpoint=self._credentials.endpoint,
            token_file=str(files.token.absolute()),
        )
        command = self._final if launch.environment["TUNING_ROLE"] == Role.FINAL else self._command
        argv, environment = command.resolve({**launch.environment, **places.environment()})
        document = {
            "incarnation": self._place.incarnation,
            "argv": argv,
            "environment": environment,
            "cwd": command.cwd,
            "grace": self._grace,
            "lock_fd": lock,
        }
        shim.write_atomically(files.launch, document)

    # Watching

    def _watch(self, key: AttemptKey, wait: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(wait)
        self._watchers.add(task)
        task.add_done_callback(partial(self._watched, key))

    def _watched(self, key: AttemptKey, task: asyncio.Task[None]) -> None:
        self._watchers.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        # Nobody else will tell how it ended, and a study must not wait for ever.
        _log.error("trial %d: its end could not be read", key.trial, exc_info=task.exception())
        self._put_end(key, Observation(phase=Phase.ENDED, ended=lost(time.time())))

    async def _wait_for_shim(self, key: AttemptKey, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._shims.pop(key, None)
        if self._files.attempt(key).exit_record() is None:
            self._end_trial_without_shim(key)
        self._observe_end(key)

    async def _wait_for_orphan(self, key: AttemptKey) -> None:
        files = self._files.attempt(key)
        overdue = time.monotonic() + self._grace + _ORPHAN_MARGIN_SECONDS
        while files.exit_record() is None and time.monotonic() < overdue:
            descriptor = files.take_lock()
            if descriptor is not None:
                os.close(descriptor)
                break
            await asyncio.sleep(_ORPHAN_POLL_SECONDS)
        else:
            if files.exit_record() is None:
                self._end_trial_without_shim(key)
        self._observe_end(key)

    def _end_trial_without_shim(self, key: AttemptKey) -> None:
        """Somebody killed the shim: end its trial too, so that two attempts never run at once."""
        group = self._files.attempt(key).process_group()
        if group is not None and shim.signal_group(group, signal.SIGKILL):
            _log.warning("trial %d: its shim was killed; ended its process group", key.trial)

    def _observe_end(self, key: AttemptKey) -> None:
        files = self._files.attempt(key)
        document = files.exit_record()
        try:
            record = ExitRecord.of(document) if document else None
        except TypeError:
            record = None  # not written by our shim
        before = self._observed.get(key)
        if record is None:
            started = before.started_at if before else None
            self._put_end(key, Observation(phase=Phase.ENDED, started_at=started, ended=lost(time.time())))
            return
        end = ended(record, result=_result(files), log_tail=files.log_tail())
        self._put_end(key, Observation(phase=Phase.ENDED, started_at=record.started_at, ended=end))

    def _put_end(self, key: AttemptKey, observation: Observation) -> None:
        self._observed[key] = observation
        self._changed()


def _result(files: AttemptFiles) -> str | ResultError:
    try:
        return files.result_text()
    except ResultError as error:
        return error

"""A queue of keys, each worked on by one task at a time: an event only says "look at this"."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

from tuning_operator.controller.backoff import backoffs
from tuning_operator.telemetry.metrics import RECONCILE_FAILURES

Key = TypeVar("Key", bound=Hashable)

_log = logging.getLogger(__name__)

# Most of them wait for an answer, many for the one search process: threads and connections are bounded where they are.
_AT_ONCE: Final = 512
_GRACE_SECONDS: Final = 10.0


class TryAgainError(Exception):
    """The work could not be done now, for a reason outside of this program; the text says which."""


class KeyedQueue(Generic[Key]):
    """Works on many keys at once, and never twice at once on the same.

    A key that is added several times while it waits is worked on once; added while it is worked on, once more after that.
    Work that fails is tried again after 1, 2, 4 ... 30 seconds, or once the key is added. Other keys do not wait for it.
    """

    def __init__(self, work: Callable[[Key], Awaitable[float | None]], *, at_once: int = _AT_ONCE) -> None:
        """Begin empty, and at rest until `run`.

        Args:
            work: looks at a key. Returns seconds after which to look again though nothing happens; None for never.
            at_once: keys worked on at once.
        """
        self._work = work
        self._at_once = at_once
        self._ready: dict[Key, None] = {}  # in order of arrival
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, Iterator[float]] = {}
        self._said: dict[Key, str] = {}
        self._running = False

    @property
    def depth(self) -> int:
        """Keys that wait for a task."""
        return len(self._ready)

    def add(self, key: Key) -> None:
        """Look at the key as soon as possible."""
        self._cancel_timer(key)
        if key in self._tasks:
            self._again.add(key)
        else:
            self._ready[key] = None
        self._fill()

    async def run(self) -> None:
        """Work until cancelled; what is under way then has 10 seconds to end."""
        self._running = True
        self._fill()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._running = False
            for key in list(self._timers):
                self._cancel_timer(key)
            if self._tasks:
                _, late = await asyncio.wait(self._tasks.values(), timeout=_GRACE_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    def _fill(self) -> None:
        while self._running and self._ready and len(self._tasks) < self._at_once:
            key = next(iter(self._ready))
            del self._ready[key]
            self._tasks[key] = asyncio.get_running_loop().create_task(self._look(key))

    async def _look(self, key: Key) -> None:
        delay: float | None = None
        try:
            delay = await self._work(key)
            self._failures.pop(key, None)
            self._said.pop(key, None)
        except TryAgainError as error:
            RECONCILE_FAILURES.labels("unavailable").inc()
            delay = self._failed(key)
            # What lasts is said once.
            level = logging.DEBUG if self._said.get(key) == str(error) else logging.WARNING
            self._said[key] = str(error)
            _log.log(level, "%s; trying again in %.0f s", error, delay)
        except Exception:  # noqa: BLE001 - a fault in one study must not end the others
            RECONCILE_FAILURES.labels("unexpected").inc()
            delay = self._failed(key)
            _log.exception("%s: an unexpected error; trying again in %.0f s", key, delay)
        finally:
            del self._tasks[key]
            self._look_again(key, delay)
            self._fill()

    def _failed(self, key: Key) -> float:
        return next(self._failures.setdefault(key, backoffs()))

    def _look_again(self, key: Key, delay: float | None) -> None:
        if key in self._again:
            self._again.discard(key)
            self._ready[key] = None
        elif delay is not None and self._running:
            self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, delay), self.add, key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

"""Reports gathered into batches, so that a thousand trials do not make a thousand transactions a second."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from tuning_operator.gateway.desk import AttemptRef, Point, Unavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """A point and the attempt that reported it."""

    ref: AttemptRef
    point: Point


Flush = Callable[[Sequence[Report]], Awaitable[None]]
"""Writes reports, in their order. Raises Unavailable to have them again later; they may then be there already."""


class ReportWriter:
    """Hands reports to `flush` in order of arrival: `size` of them at most, after waiting at most `delay` seconds for more.

    While `flush` raises Unavailable they wait, the newest `capacity` of them. Any other exception means that these
    reports can never be written: they are logged as lost, and the next ones get their turn.
    """

    def __init__(
        self, flush: Flush, *, delay: float = 1.0, size: int = 100, capacity: int = 100_000, longest_retry: float = 30.0
    ) -> None:
        self._flush = flush
        self._delay = delay
        self._size = size
        self._capacity = capacity
        self._longest_retry = longest_retry
        self._waiting: deque[Report] = deque()
        # Every report ever added has a number. Those below `_settled` are written or lost; the others wait.
        self._settled = 0
        self._pushed_out = 0
        self._drains: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, on the running event loop."""
        self._task = asyncio.create_task(self._run(), name="report-writer")

    def add(self, reports: Iterable[Report]) -> None:
        """Take reports; they are in memory until written."""
        for report in reports:
            self._waiting.append(report)
            if len(self._waiting) > self._capacity:
                self._push_out_oldest()
        self._wake.set()

    async def drain(self) -> None:
        """Wait until everything added so far is written, without the usual delay.

        Raises:
            Unavailable: it is not, and stays in memory.
        """
        if not self._waiting:
            return
        if self._closing:
            raise Unavailable("the gateway is closing")
        written = asyncio.get_running_loop().create_future()
        self._drains.append((self._settled + len(self._waiting), written))
        self._wake.set()
        await written

    async def close(self) -> None:
        """Write what waits, giving up at the first failure, and end."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._pushed_out += len(self._waiting)
        self._waiting.clear()
        self._log_pushed_out()

    async def _run(self) -> None:
        failures = 0
        while await self._due():
            if await self._write():
                failures = 0
            elif self._closing:
                return
            else:
                failures += 1
                pause = min(self._longest_retry, self._delay * 2.0 ** min(failures, 16))
                await self._until(lambda: self._hurrying, pause)

    async def _due(self) -> bool:
        """Wait for a batch that is full, old enough or wanted at once; False at the end."""
        await self._until(lambda: bool(self._waiting) or self._closing, None)
        await self._until(lambda: self._hurrying or len(self._waiting) >= self._size, self._delay)
        return bool(self._waiting)

    @property
    def _hurrying(self) -> bool:
        return self._closing or bool(self._drains)

    async def _until(self, condition: Callable[[], bool], seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._wake.clear()
                    await self._wake.wait()

    async def _write(self) -> bool:
        batch = list(islice(self._waiting, self._size))
        end = self._settled + len(batch)
        try:
            await self._flush(batch)
        except Unavailable as error:
            self._fail_drains(error)
            return False
        except Exception:
            logger.exception("%d reports cannot be written and are lost", len(batch))
        # Some of the batch may have been pushed out while it was written.
        while self._settled < end:
            self._waiting.popleft()
            self._settled += 1
        self._log_pushed_out()
        self._finish_drains()
        return True

    def _finish_drains(self) -> None:
        for target, written in self._drains:
            if target <= self._settled and not written.done():
                written.set_result(None)
        self._drains = [(target, written) for target, written in self._drains if not written.done()]

    def _fail_drains(self, error: Unavailable) -> None:
        for _, written in self._drains:
            if not written.done():
                written.set_exception(Unavailable(str(error)))
        self._drains.clear()

    def _push_out_oldest(self) -> None:
        self._waiting.popleft()
        self._settled += 1
        self._pushed_out += 1

    def _log_pushed_out(self) -> None:
        """Once an outage is over: a line for each report would flood the log in the middle of one."""
        if self._pushed_out:
            logger.warning("%d reports are lost: the database was away too long to keep them", self._pushed_out)
            self._pushed_out = 0

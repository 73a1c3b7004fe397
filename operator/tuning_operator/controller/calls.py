"""Calls to a runtime that are under way at once: a cluster answers many as fast as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from tuning_operator.runtime.protocol import RuntimeUnavailableError

AT_ONCE: Final = 16
"""Calls of one study under way at once: enough to keep an API server busy, few enough to be fair to other studies."""


class Calls:
    """The calls of one round. Those of a trial follow one another in their order; of different trials there is none.

    Leaving the block waits for all of them: nothing of one round is under way in the next. When the block is cancelled,
    so are they; each may be repeated.
    """

    def __init__(self, *, at_once: int = AT_ONCE) -> None:
        """Begin with none.

        Args:
            at_once: how many of them are under way at once; others wait.
        """
        self.failed: RuntimeUnavailableError | None = None  # the first that was not done, and on which others depend
        self.untidy: RuntimeUnavailableError | None = None  # the first that only tidies up, and was not done
        self._places = asyncio.Semaphore(at_once)
        self._last: dict[int, asyncio.Task[None]] = {}  # of each trial
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            for task in self._tasks:
                task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None:
            # What no call may raise is a fault of the program, and not to be hidden.
            for end in ends:
                if isinstance(end, BaseException):
                    raise end

    def begin(self, trial: int, call: Callable[[], Awaitable[None]], *, tidies: bool = False) -> None:
        """Let a call begin as soon as there is a place, and the trial's earlier ones have ended.

        Args:
            trial: that it is about.
            call: may raise RuntimeUnavailableError.
            tidies: nothing depends on it; once one of these was not done, others are not tried.
        """
        task = asyncio.create_task(self._run(self._last.get(trial), call, tidies=tidies))
        self._last[trial] = task
        self._tasks.append(task)

    async def _run(self, earlier: asyncio.Task[None] | None, call: Callable[[], Awaitable[None]], *, tidies: bool) -> None:
        if earlier is not None:
            await asyncio.wait((earlier,))
        async with self._places:
            if (self.untidy if tidies else self.failed) is not None:
                return
            try:
                await call()
            except RuntimeUnavailableError as error:
                if tidies:
                    self.untidy = self.untidy or error
                else:
                    self.failed = self.failed or error

"""An event loop whose time passes at once: it jumps to the next timer whenever nothing else is to be done."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_MOST_TURNS: Final = 10_000


class _Jumping(selectors.DefaultSelector):
    """Advances the time by what it would have waited."""

    now = 0.0
    turns = 0  # since time last passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits for something that never happens")
        self.now += max(0.0, timeout)
        self.turns = 0 if timeout > 0 else self.turns + 1
        if self.turns > _MOST_TURNS:
            raise AssertionError("no time passes any more: something is done again and again")
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For coroutines that wait for timers and for each other only: threads and sockets have no time to answer."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._jumping.now

    def block(self, seconds: float) -> None:
        """As if something that cannot be interrupted took so long."""
        self._jumping.now += seconds


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, without waiting."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)

"""Answers that are dear to get, such as those of the API server about tokens, remembered for a short while."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tuning_operator.gateway.desk import Unavailable

Answer = TypeVar("Answer")

Clock = Callable[[], float]
"""Seconds since the epoch."""

Ask = Callable[[], Awaitable[Answer | None]]
"""Gets the answer; None means no. May raise Unavailable."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds memory, the age of an answer, and the load on whoever is asked."""

    yes_seconds: float = 60.0
    no_seconds: float = 5.0
    remembered: int = 10_000  # answers yes, and as many no
    at_once: int = 8  # requests under way, in each of the two lanes
    waiting: int = 256  # requests under way or waiting for that, in each lane


@dataclass(frozen=True)
class _Remembered(Generic[Answer]):
    answer: Answer | None
    asked_at: float
    until: float

    def holds(self, now: float) -> bool:
        # Not before it was asked either: a clock that is set back would make it last.
        return self.asked_at <= now < self.until


class _Shelf(Generic[Answer]):
    """The newest answers, by key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_key: dict[bytes, _Remembered[Answer]] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._by_key

    def get(self, key: bytes) -> _Remembered[Answer] | None:
        return self._by_key.get(key)

    def put(self, key: bytes, remembered: _Remembered[Answer]) -> None:
        self._by_key.pop(key, None)
        self._by_key[key] = remembered
        if len(self._by_key) > self._capacity:
            del self._by_key[next(iter(self._by_key))]

    def drop(self, key: bytes) -> None:
        self._by_key.pop(key, None)


class _Lane(Generic[Answer]):
    """Requests, one for each key, a few at once."""

    def __init__(self, limits: Limits) -> None:
        self._flights: dict[bytes, asyncio.Task[Answer]] = {}
        self._gate = asyncio.Semaphore(limits.at_once)
        self._waiting = limits.waiting

    async def run(self, key: bytes, request: Callable[[], Awaitable[Answer]]) -> Answer:
        """Wait for the request of this key, which begins here unless it is under way.

        Raises:
            Unavailable: too many wait.
        """
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= self._waiting:
                raise Unavailable("too many requests wait for an answer; send the same request again")
            flight = self._flights[key] = asyncio.create_task(self._through(key, request), name="ask")
        # Others wait for it too: whoever leaves must not take it along.
        return await asyncio.shield(flight)

    async def _through(self, key: bytes, request: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            async with self._gate:
                return await request()
        finally:
            del self._flights[key]


class Verdicts(Generic[Answer]):
    """Answers by key. A yes and a no have their own time to live and their own room: a flood of one pushes out none of the other.

    Whoever had a yes before is asked for again in a lane of its own, so that strangers do not keep it waiting.
    """

    def __init__(self, clock: Clock, limits: Limits | None = None) -> None:
        self._clock = clock
        self._limits = limits or Limits()
        self._yes: _Shelf[Answer] = _Shelf(self._limits.remembered)
        self._no: _Shelf[Answer] = _Shelf(self._limits.remembered)
        self._renewals: _Lane[_Remembered[Answer]] = _Lane(self._limits)
        self._strangers: _Lane[_Remembered[Answer]] = _Lane(self._limits)

    async def get(self, key: bytes, ask: Ask[Answer], *, expires: float = math.inf) -> Answer | None:
        """The answer, which is remembered or asked for. None is no; and from `expires` on there is no yes.

        Raises:
            Unavailable: nobody can say now.
        """
        if self._clock() >= expires:
            return None
        remembered = self._recalled(key)
        if remembered is None:
            lane = self._renewals if key in self._yes else self._strangers
            remembered = await lane.run(key, lambda: self._asked(key, ask))
        return remembered.answer if self._clock() < expires else None

    def _recalled(self, key: bytes) -> _Remembered[Answer] | None:
        now = self._clock()
        found = self._yes.get(key) or self._no.get(key)
        return found if found and found.holds(now) else None

    async def _asked(self, key: bytes, ask: Ask[Answer]) -> _Remembered[Answer]:
        asked_at = self._clock()
        answer = await ask()
        lifetime = self._limits.no_seconds if answer is None else self._limits.yes_seconds
        remembered = _Remembered(answer, asked_at, asked_at + lifetime)
        kept, other = (self._no, self._yes) if answer is None else (self._yes, self._no)
        kept.put(key, remembered)
        other.drop(key)
        return remembered

"""A desk that keeps everything in memory and does what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tuning_operator.api.contract import Result
from tuning_operator.engine.facts import StopReason
from tuning_operator.gateway import AttemptRef, Point, TrialCard, UnknownAttempt

PATIENCE: Final = 20.0
"""Seconds after which a test that waits for something has failed."""


@dataclass
class MemoryDesk:
    cards: dict[AttemptRef, TrialCard] = field(default_factory=dict)
    points: dict[AttemptRef, list[Point]] = field(default_factory=dict)
    results: dict[AttemptRef, Result] = field(default_factory=dict)
    stops: dict[AttemptRef, StopReason] = field(default_factory=dict)
    failure: Exception | None = None
    """What every question raises while it is set."""
    reports: int = 0
    """Calls of `report`."""
    hold: asyncio.Event | None = None
    """What `result` waits for while it is set."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def describe(self, ref: AttemptRef) -> TrialCard | None:
        self._fail()
        return self.cards.get(ref)

    async def report(self, ref: AttemptRef, points: Sequence[Point]) -> StopReason | None:
        async with self.changed:
            self.reports += 1
            self.changed.notify_all()
        self._require(ref)
        known = self.points.setdefault(ref, [])
        known.extend(point for point in points if point.step not in {other.step for other in known})
        return self.stops.get(ref)

    def stop_reason(self, ref: AttemptRef) -> StopReason | None:
        self._require(ref)
        return self.stops.get(ref)

    async def result(self, ref: AttemptRef, result: Result) -> bool:
        self._require(ref)
        if self.hold is not None:
            await self.hold.wait()
        async with self.changed:
            committed = self.results.setdefault(ref, result)
            self.changed.notify_all()
        return committed == result

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(condition)

    def _require(self, ref: AttemptRef) -> None:
        self._fail()
        if ref not in self.cards:
            raise UnknownAttempt

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

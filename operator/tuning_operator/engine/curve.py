"""The course of a search: what its trials gave and cost, in the order in which they ended. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tuning_operator.api.study import Direction


class End(NamedTuple):
    """The end of a trial. Ends are ordered by time, and at one time by number."""

    at: float  # seconds since the epoch
    number: int  # of the trial
    hours: float  # for which all its attempts held their places
    value: float | None  # None: it gave none, or was pruned


class Point(NamedTuple):
    """A search right after the end of one of its trials."""

    end: End
    hours: float  # of all trials that had ended by then
    lowest: float  # value by then; inf before the first
    highest: float  # the same; -inf before the first

    def best(self, direction: Direction) -> float:
        """The best value by then, turned so that more is better."""
        return self.highest if direction == "maximize" else -self.lowest


@dataclass(frozen=True)
class Curve:
    """The points of a search. Curves of different trials can be added, in any order of their ends."""

    points: tuple[Point, ...] = ()

    @classmethod
    def of(cls, ends: Iterable[End]) -> Curve:
        """With a point for each of these ends, given in any order."""
        return cls(tuple(_points(None, sorted(ends))))

    def __add__(self, other: Curve) -> Curve:
        if not other.points:
            return self
        # A trial that is told has mostly ended after all others: then nothing before it is looked at again.
        place = bisect_left(self.points, other.points[0].end, key=_end)
        kept, moved = self.points[:place], self.points[place:]
        ends = sorted(point.end for point in (*moved, *other.points))
        return Curve(kept + tuple(_points(kept[-1] if kept else None, ends)))


def _points(before: Point | None, ends: Iterable[End]) -> Iterator[Point]:
    hours, lowest, highest = (before.hours, before.lowest, before.highest) if before else (0.0, math.inf, -math.inf)
    for end in ends:
        hours += end.hours
        if end.value is not None:
            lowest, highest = min(lowest, end.value), max(highest, end.value)
        yield Point(end, hours, lowest, highest)


def _end(point: Point) -> End:
    return point.end

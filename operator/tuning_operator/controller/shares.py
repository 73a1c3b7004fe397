"""How many trials each study may hold at once under the limits of the operator and of its namespace. Pure bookkeeping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Protocol

from tuning_operator.runtime.kubernetes.views import StudyKey


class Share(Protocol):
    """The share of one study."""

    def most(self, wanted: int) -> int | None:
        """How many attempts it may hold now of those that it wants; it is woken when there are more. None without a limit."""
        ...

    def hold(self, count: int) -> None:
        """Say how many it holds, those included that it is about to start."""
        ...


class NoLimit:
    """The share of a study that is alone."""

    def most(self, wanted: int) -> int | None:  # noqa: ARG002 - of a protocol
        """No limit."""
        return None

    def hold(self, count: int) -> None:
        """Nobody counts."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Most trials that run at once; None for no limit."""

    total: int | None = None
    per_namespace: int | None = None


class Shares:
    """What all studies hold, and who waits for more.

    A place that becomes free is for whoever of those that wait holds least, and among equals for who has waited longest.
    Nothing is ever taken away: a large study shrinks as its trials end, since their places are not its own to refill.
    """

    def __init__(self, limits: Limits, *, wake: Callable[[StudyKey], None]) -> None:
        """Begin with nothing held.

        Args:
            limits: of the whole and of each namespace.
            wake: called with each study that waits once it may hold more than it was told.
        """
        self._limits = limits
        self._wake = wake
        self._held: dict[StudyKey, int] = {}  # only what is above 0
        self._waiting: dict[StudyKey, _Wish] = {}  # in order of arrival

    def of(self, key: StudyKey) -> Share:
        """The share of a study."""
        return _StudyShare(self, key)

    def most(self, key: StudyKey, wanted: int) -> int | None:
        """How many of those that it wants the study may hold now; for the others it waits. None without a limit."""
        if self._limits == Limits():
            return None
        others = {other: count for other, count in self._held.items() if other != key}
        most = self._handed_out(others, self._wishes() | {key: wanted}).get(key, 0)
        if most < wanted:
            self._waiting[key] = _Wish(wanted=wanted, told=most)
        else:
            self._waiting.pop(key, None)
        self._tell()
        return most

    def hold(self, key: StudyKey, count: int) -> None:
        """Take down what a study holds; who may have more for that is woken."""
        if count:
            self._held[key] = count
        else:
            self._held.pop(key, None)
        if count and key in self._waiting:
            # It had its turn: once it holds nothing again, it comes after those that have waited since.
            self._waiting[key] = self._waiting.pop(key)
        self._tell()

    def forget(self, key: StudyKey) -> None:
        """The study holds and wants nothing any more."""
        self._waiting.pop(key, None)
        self.hold(key, 0)

    def _tell(self) -> None:
        """Wake those that may hold more than they were told: nobody twice for the same place."""
        if not self._waiting:
            return
        offered = self._handed_out(self._held, self._wishes())
        for key, wish in list(self._waiting.items()):
            offer = offered.get(key, 0)
            if offer > max(wish.told, self._held.get(key, 0)):
                self._waiting[key] = replace(wish, told=offer)
                self._wake(key)

    def _wishes(self) -> dict[StudyKey, int]:
        return {key: wish.wanted for key, wish in self._waiting.items()}

    def _handed_out(self, held: Mapping[StudyKey, int], wishes: Mapping[StudyKey, int]) -> Mapping[StudyKey, int]:
        """What each would hold if all that is free were given to those that wish for more, one place at a time."""
        counts = Counter(held)
        used: Counter[str | None] = Counter()  # by namespace; None: of all
        for key, count in held.items():
            used[None] += count
            used[key.namespace] += count
        line = [(counts[key], arrival, key) for arrival, key in enumerate(wishes)]
        heapify(line)
        while line:
            count, arrival, key = heappop(line)
            if count < wishes[key] and self._has_room(used, key.namespace):
                counts[key] += 1
                used[None] += 1
                used[key.namespace] += 1
                heappush(line, (count + 1, arrival, key))
        return counts

    def _has_room(self, used: Mapping[str | None, int], namespace: str) -> bool:
        total, per_namespace = self._limits.total, self._limits.per_namespace
        return (total is None or used[None] < total) and (per_namespace is None or used[namespace] < per_namespace)


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What a waiting study would hold, and what it knows that it may."""

    wanted: int
    told: int


@dataclass(frozen=True)
class _StudyShare:
    shares: Shares
    key: StudyKey

    def most(self, wanted: int) -> int | None:
        return self.shares.most(self.key, wanted)

    def hold(self, count: int) -> None:
        self.shares.hold(self.key, count)

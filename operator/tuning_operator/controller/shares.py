"""How many trials each study may hold at once under the limits of the operator and of its namespace. Pure bookkeeping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tuning_operator.runtime.kubernetes.views import StudyKey


class Share(Protocol):
    """The share of one study."""

    def most(self, wanted: int) -> int | None:
        """Most attempts that it may hold now, of those that it wants at most; None without a limit."""
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
    """What all studies hold, and who waits.

    As long as others wait, nobody grows beyond an equal part of a limit: else a large study that replaces each ended trial
    at once would keep all places until its end.
    """

    def __init__(self, limits: Limits, *, wake: Callable[[StudyKey], None]) -> None:
        """Begin with nothing held.

        Args:
            limits: of the whole and of each namespace.
            wake: called with each study that waited when a place became free.
        """
        self._limits = limits
        self._wake = wake
        self._held: dict[StudyKey, int] = {}
        self._waiting: dict[StudyKey, None] = {}

    def of(self, key: StudyKey) -> Share:
        """The share of a study."""
        return _StudyShare(self, key)

    def most(self, key: StudyKey, wanted: int) -> int | None:
        """Most that the study may hold now; it waits for more when that is less than it wants."""
        bounds = [self._bound(key, limit, namespace) for limit, namespace in self._limits_of(key)]
        if not bounds:
            return None
        most = min(bounds)
        if most < wanted:
            self._waiting[key] = None
        else:
            self._waiting.pop(key, None)
        return most

    def hold(self, key: StudyKey, count: int) -> None:
        """Take down what a study holds; what it gives back wakes those that wait."""
        fewer = count < self._held.get(key, 0)
        if count:
            self._held[key] = count
        else:
            self._held.pop(key, None)
        if fewer:
            waiting, self._waiting = self._waiting, {}
            for other in waiting:
                self._wake(other)

    def forget(self, key: StudyKey) -> None:
        """The study holds and wants nothing any more."""
        self._waiting.pop(key, None)
        self.hold(key, 0)

    def _limits_of(self, key: StudyKey) -> Iterator[tuple[int, str | None]]:
        if self._limits.total is not None:
            yield self._limits.total, None
        if self._limits.per_namespace is not None:
            yield self._limits.per_namespace, key.namespace

    def _bound(self, key: StudyKey, limit: int, namespace: str | None) -> int:
        def counts(other: StudyKey) -> bool:
            return other != key and namespace in (None, other.namespace)

        free = limit - sum(held for other, held in self._held.items() if counts(other))
        rivals = {other for other in self._waiting if counts(other)}
        if not rivals:
            return max(0, free)
        parties = 1 + len(rivals | {other for other in self._held if counts(other)})
        return max(0, min(free, math.ceil(limit / parties)))


@dataclass(frozen=True)
class _StudyShare:
    shares: Shares
    key: StudyKey

    def most(self, wanted: int) -> int | None:
        return self.shares.most(self.key, wanted)

    def hold(self, count: int) -> None:
        self.shares.hold(self.key, count)

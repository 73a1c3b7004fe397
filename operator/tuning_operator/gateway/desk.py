"""Where the gateway's requests go: the seam to whoever runs the studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tuning_operator.api.contract import Result
from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import Direction
from tuning_operator.engine.facts import Role, StopReason


@dataclass(frozen=True)
class AttemptRef:
    """One attempt of one trial of one study; `study` is whatever the desk knows its studies by."""

    study: str
    trial: int
    attempt: int


@dataclass(frozen=True)
class Point:
    """The objective's value after a step. Steps go from 0 to 2**31 - 1; the value may be nan or infinite."""

    step: int
    value: float


@dataclass(frozen=True, kw_only=True)
class TrialCard:
    """What a trial may know about itself."""

    role: Role
    parameters: Parameters
    seed: int
    metric: str
    direction: Direction


class UnknownAttempt(Exception):  # noqa: N818 - an answer, not a fault
    """There is no such attempt, or its study is gone."""


class Superseded(Exception):  # noqa: N818 - an answer, not a fault
    """The attempt is history: its trial has ended, or a newer attempt runs. What it still says counts for nothing."""


class Unavailable(Exception):  # noqa: N818 - an answer, not a fault
    """Not now, such as in a database outage; the same request succeeds later."""


class Authenticator(Protocol):
    """Who holds a token."""

    async def identify(self, token: str) -> AttemptRef | None:
        """The attempt to which the token was given; None for a token that is not valid. May raise Unavailable."""


class Desk(Protocol):
    """What a trial may ask and tell. Every method may raise UnknownAttempt and Superseded."""

    def describe(self, ref: AttemptRef) -> TrialCard | None:
        """What the trial may know about itself; None like UnknownAttempt."""

    async def report(self, ref: AttemptRef, points: Sequence[Point]) -> StopReason | None:
        """Take reports, oldest first, and say at once whether and why to stop. The same points again change nothing."""

    def stop_reason(self, ref: AttemptRef) -> StopReason | None:
        """Whether and why to stop."""

    async def result(self, ref: AttemptRef, result: Result) -> bool:
        """Take the result, after all earlier reports of the trial.

        True once it is committed, and again for the same result. False when the trial has ended without it, so
        that it comes too late. Cancelling the call leaves open whether it is committed.

        Raises:
            Unavailable: it is not committed.
        """

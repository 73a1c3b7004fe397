"""What can be done for a study, frozen. The output of `decide`, carried out by the controller in order."""

from __future__ import annotations

from dataclasses import dataclass

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Ended, Role, StopReason, TrialState, Verdict


@dataclass(frozen=True, kw_only=True)
class ClaimTrial:
    """Write a new trial with known parameters, and its first attempt, into the database."""

    number: int
    role: Role
    parameters: Parameters


@dataclass(frozen=True, kw_only=True)
class AskTrial:
    """Ask the sampler for parameters and claim a search trial with them; the sampler may be exhausted instead."""

    number: int


@dataclass(frozen=True, kw_only=True)
class ClaimAttempt:
    """Write the next attempt of an unfinished trial into the database."""

    trial: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class StartAttempt:
    """Let the runtime run a claimed attempt. Starting one that runs already is success."""

    trial: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class StopAttempt:
    """Record why, then ask the runtime to stop it with its grace period."""

    trial: int
    attempt: int
    reason: StopReason


@dataclass(frozen=True, kw_only=True)
class Tell:
    """The end of a trial."""

    state: TrialState
    value: float | None
    reason: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class ConcludeAttempt:
    """Record how an attempt ended and, with `tell`, that its trial is finished: one transaction."""

    trial: int
    attempt: int
    ended: Ended
    tell: Tell | None


@dataclass(frozen=True, kw_only=True)
class TellTrial:
    """Finish a trial that has no attempt to conclude, such as one waiting for a retry when the study ends."""

    trial: int
    tell: Tell


@dataclass(frozen=True, kw_only=True)
class ReleaseAttempt:
    """What the runtime kept of a recorded attempt may go now."""

    trial: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class EndSearch:
    """Record how the search ended. From now on only what follows a search is started."""

    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class DecideEnd:
    """Record the verdict. From now on nothing is started."""

    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ExpireStudy:
    """Delete the study object: its ttlSecondsAfterFinished is over."""


Action = (
    ClaimTrial
    | AskTrial
    | ClaimAttempt
    | StartAttempt
    | StopAttempt
    | ConcludeAttempt
    | TellTrial
    | ReleaseAttempt
    | EndSearch
    | DecideEnd
    | ExpireStudy
)

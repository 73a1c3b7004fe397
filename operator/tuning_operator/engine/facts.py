"""What is known about a study, frozen. The input of `decide`.

Times are seconds since the epoch. A study has trials, a trial has attempts, an attempt is one run of the
container (one Pod, one process). The database says which trials and attempts exist and how they ended; the
runtime says what runs now. Both meet in `Attempt`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import SamplerName, StudySpec

if TYPE_CHECKING:
    from tuning_operator.engine.tally import Tally


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


class Role(StrEnum):
    """What a trial is for. TUNING_ROLE in its environment."""

    BASELINE = "baseline"
    SEARCH = "search"
    CONFIRM = "confirm"
    FINAL = "final"


class TrialState(StrEnum):
    """Optuna's words, in lower case. A trial waiting for its next attempt is still running."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"


class Outcome(StrEnum):
    """Why an attempt ended."""

    SUCCEEDED = "succeeded"  # with a finite value of the objective's metric
    PRUNED = "pruned"  # hopeless, stopped early by decision
    FAILED = "failed"  # unknown cause in the container: retried `retry.failures` times
    INFEASIBLE = "infeasible"  # caused by its parameters (not finite, out of memory, time limit): never retried
    DISRUPTED = "disrupted"  # not its fault (preempted, evicted, node lost, suspended): same trial, next attempt
    CONFIGURATION = "configuration"  # the study's fault: it stalls until someone mends it, nothing is counted
    STOPPED = "stopped"  # the study ended first


class StopReason(StrEnum):
    """Why we ask a running attempt to stop."""

    PRUNED = "pruned"
    TIMEOUT = "timeout"
    SUSPENDED = "suspended"
    SPEC_CHANGED = "spec-changed"
    STUDY_ENDED = "study-ended"


SUSPENDED: Final = "Suspended"
"""`Ended.reason` of an attempt stopped because its study was suspended: a disruption that nobody counts."""

SPEC_CHANGED: Final = "SpecChanged"
"""`Ended.reason` of an attempt that could not run under the spec of its time, and starts anew under a mended one."""

NOT_COUNTED: Final = frozenset((SUSPENDED, SPEC_CHANGED))
"""Reasons of disruptions that people asked for: they say nothing about the trial, nor about the cluster."""

STUDY_ENDED: Final = "StudyEnded"
"""`reason` of an attempt, and of its trial, stopped because the study ended first: not a failure of its own."""


RESULT_INVALID: Final = "ResultInvalid"
"""`Ended.reason` of an attempt whose container succeeded and whose result file cannot be understood."""


class Phase(StrEnum):
    """Where an attempt is, says the runtime."""

    PENDING = "pending"  # accepted, waiting for a place
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an attempt ended: what the runtime saw, later what the database keeps."""

    outcome: Outcome
    at: float
    reason: str  # CamelCase, one word of a bounded set, such as Completed, ExitCode, OOMKilled
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=_nothing)
    pruned: bool = False  # the container says that it stopped itself as pruned
    diagnoses: tuple[Diagnosis, ...] = ()  # what the container says was wrong with its training, the most telling first
    placed_at: float | None = None  # when it got its place, GPUs included; None: it never had one
    notes: Mapping[str, str] = field(default_factory=_nothing)  # texts of the result


@dataclass(frozen=True, kw_only=True)
class StudyCause:
    """What keeps trials from running, and is not their fault: it concerns the study."""

    reason: str  # CamelCase, of a bounded set
    message: str
    object: str = ""  # what to mend, such as Secret/registry
    passing: bool = False  # may end by itself once other Pods end: worth saying only while no trial of the study runs
    since: float | None = None  # when the cluster began to say so, where it says that


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the runtime says about an attempt it knows."""

    phase: Phase
    started_at: float | None = None
    stopping: bool = False
    ended: Ended | None = None  # set exactly when phase is ENDED
    released: bool = False  # nothing is kept of it any more
    held_up: bool = False  # by a `StudyCause`


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One run of a trial's container."""

    number: int  # 0, 1, 2 ... within its trial
    generation: int  # of the spec under which it was claimed
    claimed_at: float
    started_at: float | None = None  # recorded after the runtime accepted it
    stop_reason: StopReason | None = None  # recorded before the runtime is asked
    posted: Mapping[str, float] | None = None  # the result that reached the gateway and was committed
    posted_pruned: bool = False
    posted_diagnoses: tuple[Diagnosis, ...] = ()
    posted_notes: Mapping[str, str] = field(default_factory=_nothing)
    ended: Ended | None = None  # recorded: the attempt is history
    last_step: int = -1  # largest step reported by any attempt of the trial when this one ended
    observed: Observation | None = None  # None: the runtime knows nothing of it

    @property
    def live(self) -> bool:
        """Whether it holds, or will at once hold, a slot: claimed and not known to have ended."""
        return self.ended is None

    @property
    def placed_at(self) -> float | None:
        """When it got its place, GPUs included, as far as that is known; None: it waits for one, or never had one."""
        if self.ended is not None:
            return self.ended.placed_at
        if self.observed is not None:
            return self.observed.started_at
        # The runtime forgot it. What is stopped before it has a place goes without a trace, and held nothing; of all else
        # its acceptance is the nearest that is known.
        return self.started_at if self.stop_reason is None else None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration and its runs. Numbers are study-wide, without gaps, in order of claim."""

    number: int
    role: Role
    parameters: Parameters
    seed: int
    claimed_at: float
    attempts: tuple[Attempt, ...]
    state: TrialState = TrialState.RUNNING
    value: float | None = None  # of the objective; set exactly when COMPLETE, or PRUNED after a finite report
    reason: str = ""
    message: str = ""
    finished_at: float | None = None
    metrics: Mapping[str, float] = field(default_factory=_nothing)
    diagnoses: tuple[Diagnosis, ...] = ()  # of its last attempt
    reports: Mapping[int, float] = field(default_factory=_nothing)  # step -> objective's value
    # step -> place of its report among all of the study, in the order in which they came. Only the order means something.
    arrivals: Mapping[int, int] = field(default_factory=_nothing, compare=False)
    sampler_state: Mapping[str, str] = field(default_factory=_nothing)  # opaque, JSON texts

    @property
    def finished(self) -> bool:
        """Told: it will never run again."""
        return self.state is not TrialState.RUNNING

    @property
    def last(self) -> Attempt:
        """Its newest attempt; there is always one."""
        return self.attempts[-1]

    @property
    def last_step(self) -> int:
        """Largest step reported so far, -1 before the first."""
        return max(self.reports, default=-1)

    # The curve of its reports, computed once: a finished trial's never changes, and every pruning decision reads it.

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Steps with a report, ascending."""
        return tuple(sorted(self.reports))

    @cached_property
    def finite_steps(self) -> tuple[int, ...]:
        """Steps with a finite report, ascending."""
        return tuple(step for step in self.steps if math.isfinite(self.reports[step]))

    @cached_property
    def running_max(self) -> tuple[float, ...]:
        """The largest report up to each of `finite_steps`."""
        return tuple(accumulate((self.reports[step] for step in self.finite_steps), max))

    @cached_property
    def running_min(self) -> tuple[float, ...]:
        """The smallest report up to each of `finite_steps`."""
        return tuple(accumulate((self.reports[step] for step in self.finite_steps), min))

    def with_attempt(self, attempt: Attempt) -> Trial:
        """This trial with the attempt of that number replaced, or appended when it is the next."""
        kept = tuple(a for a in self.attempts if a.number != attempt.number)
        return replace(self, attempts=tuple(sorted((*kept, attempt), key=lambda a: a.number)))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decided end of a study. Its running trials are stopped after it, then it is finished."""

    succeeded: bool
    reason: str  # CamelCase, such as MaxTrialsReached
    message: str
    at: float


@dataclass(frozen=True, kw_only=True)
class SamplerChoice:
    """The sampler in use, resolved from `auto` once, and why."""

    sampler: SamplerName
    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """Everything `decide` may look at."""

    spec: StudySpec
    generation: int
    began_at: float
    trials: tuple[Trial, ...] = ()
    search_end: Verdict | None = None  # how the search ended, where more than that is wanted of the study
    verdict: Verdict | None = None
    exhausted: bool = False  # the sampler has no further configuration
    expired: bool = False  # its deletion has been asked for
    deleted: bool = False  # its object is gone
    causes: tuple[StudyCause, ...] = ()  # what keeps it from starting anything new
    share: int | None = None  # most attempts that it may hold, as other studies leave room; None: no such limit
    history: Tally | None = None  # what its finished trials add up to, where somebody keeps count; None: counted when asked for

    def trial(self, number: int) -> Trial:
        """The trial of that number; numbers are positions."""
        return self.trials[number]

    @cached_property
    def unfinished(self) -> tuple[Trial, ...]:
        """Trials not yet told, in order."""
        return tuple(trial for trial in self.trials if trial.state is TrialState.RUNNING)

    @cached_property
    def live(self) -> tuple[Trial, ...]:
        """Trials whose newest attempt holds a slot."""
        return tuple(trial for trial in self.unfinished if trial.last.live)

    def of(self, role: Role) -> tuple[Trial, ...]:
        """Trials of a role, in order."""
        return tuple(trial for trial in self.trials if trial.role is role)

    @property
    def searching(self) -> bool:
        """Whether search trials are still wanted."""
        return self.search_end is None and self.verdict is None

    @cached_property
    def stalled(self) -> Trial | None:
        """A trial whose newest attempt found the study misconfigured, under today's generation of the spec."""
        for trial in self.unfinished:
            ended = trial.last.ended
            if ended and ended.outcome is Outcome.CONFIGURATION and trial.last.generation == self.generation:
                return trial
        return None

    @property
    def halted(self) -> bool:
        """Whether nothing new may start: it ended, was suspended, or must be mended first."""
        return self.verdict is not None or self.spec.suspend or self.stalled is not None

    @property
    def free_slots(self) -> int:
        """How many more attempts may run now. What would keep a further one from running keeps it from being claimed."""
        return 0 if self.causes else max(0, self.slots - len(self.live))

    @property
    def slots(self) -> int:
        """How many attempts may run at once."""
        return self.spec.budget.parallelism if self.share is None else min(self.spec.budget.parallelism, self.share)

    @property
    def finished_at(self) -> float | None:
        """When the verdict stood and the last trial was told; None before."""
        if self.verdict is None or self.unfinished:
            return None
        return max([self.verdict.at, *(t.finished_at for t in self.trials if t.finished_at is not None)])

    def with_trial(self, trial: Trial) -> StudyFacts:
        """These facts with the trial of that number replaced, or appended when it is the next."""
        return self.with_trials((trial,))

    def with_trials(self, changed: Iterable[Trial]) -> StudyFacts:
        """These facts with the trials of those numbers replaced, or appended in their order."""
        trials, told = list(self.trials), []
        for trial in changed:
            if trial.finished and not trials[trial.number].finished:
                told.append(trial)
            trials[trial.number : trial.number + 1] = [trial]
        history = self.history + self.history.of(told) if self.history is not None and told else self.history
        return replace(self, trials=tuple(trials), history=history)

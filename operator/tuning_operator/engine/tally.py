"""What finished trials add up to. Pure.

A finished trial never changes: it is counted once, when it is told, and not again at every look at its study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Final

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.engine.curve import Curve, End
from tuning_operator.engine.facts import NOT_COUNTED, STUDY_ENDED, Attempt, Ended, Outcome, Role, StudyFacts, Trial, TrialState

HOUR: Final = 3600.0
"""Seconds."""

TOP: Final = 5
"""So many of the best are known by name."""

MOST_DIAGNOSES: Final = 64
"""Names of diagnoses that are counted, those of the earliest trials: users' own scripts may give any number of them."""

_OWN_FAULT: Final = (Outcome.FAILED, Outcome.DISRUPTED)
_WASTED: Final = (Outcome.FAILED, Outcome.DISRUPTED, Outcome.CONFIGURATION)


@dataclass(frozen=True, kw_only=True)
class Diagnosed:
    """Trials with a diagnosis in common."""

    trials: int
    example: int  # number of the earliest
    diagnosis: Diagnosis  # of the example

    def __add__(self, other: Diagnosed) -> Diagnosed:
        earlier = min(self, other, key=_earliest)
        return Diagnosed(trials=self.trials + other.trials, example=earlier.example, diagnosis=earlier.diagnosis)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Of any finished trials, whatever their order. Tallies of different trials can be added."""

    trials: int = 0  # of any role
    seconds: float = 0.0  # from claim to end, of all of them
    hours: float = 0.0  # for which all their attempts held their places
    wasted: float = 0.0  # of these, those of attempts that failed or were disrupted
    complete_hours: float = 0.0  # of these, those of search trials that completed
    pruned_hours: float = 0.0  # of these, those of search trials that were pruned
    baselines: tuple[Trial, ...] = ()  # they are few
    confirmations: tuple[Trial, ...] = ()  # so are they
    finals: tuple[Trial, ...] = ()  # and they
    states: Counter[TrialState] = field(default_factory=Counter)  # of search trials
    stopped: int = 0  # search trials that the end of the study stopped
    disruptions: int = 0  # of search trials, those that nobody asked for
    lowest: tuple[Trial, ...] = ()  # completed search trials, the lowest value first, and of equals the earlier one
    highest: tuple[Trial, ...] = ()  # the same, the highest value first
    faults: int = 0  # search trials that failed by themselves
    last_fault: Trial | None = None  # the one with the largest number
    last_end: Trial | None = None  # of the search trials that ended by themselves, whatever became of them
    diagnoses: Mapping[str, Diagnosed] = field(default_factory=dict)  # of trials of any role, by name
    curve: Curve = field(default_factory=Curve)  # of the search trials that ended by themselves

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Tally:
        """Count those of them that are finished."""
        told = [trial for trial in trials if trial.finished_at is not None]
        ended = [(attempt, attempt.ended.at) for trial in told for attempt in trial.attempts if attempt.ended is not None]
        search = [trial for trial in told if trial.role is Role.SEARCH]
        complete = [trial for trial in search if trial.state is TrialState.COMPLETE]
        faults = [trial for trial in search if failed_by_itself(trial)]
        by_themselves = [trial for trial in search if trial.reason != STUDY_ENDED]
        return cls(
            trials=len(told),
            seconds=sum(trial.finished_at - trial.claimed_at for trial in told if trial.finished_at is not None),
            hours=sum(attempt_hours(attempt, at) for attempt, at in ended),
            wasted=sum(wasted_hours(attempt) for attempt, _ in ended),
            complete_hours=sum(map(_hours, complete)),
            pruned_hours=sum(_hours(trial) for trial in search if trial.state is TrialState.PRUNED),
            baselines=tuple(trial for trial in told if trial.role is Role.BASELINE),
            finals=tuple(trial for trial in told if trial.role is Role.FINAL),
            confirmations=tuple(trial for trial in told if trial.role is Role.CONFIRM),
            states=Counter(trial.state for trial in search),
            stopped=sum(trial.state is TrialState.FAIL and trial.reason == STUDY_ENDED for trial in search),
            disruptions=sum(map(disruptions, search)),
            lowest=tuple(nsmallest(TOP, complete, key=_lowest_first)),
            highest=tuple(nsmallest(TOP, complete, key=_highest_first)),
            faults=len(faults),
            last_fault=max(faults, key=_number, default=None),
            last_end=max(by_themselves, key=_number, default=None),
            diagnoses=_merged(
                (diagnosis.name, Diagnosed(trials=1, example=trial.number, diagnosis=diagnosis))
                for trial in told
                for diagnosis in trial.diagnoses
            ),
            curve=Curve.of(map(_end, by_themselves)),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            trials=self.trials + other.trials,
            seconds=self.seconds + other.seconds,
            hours=self.hours + other.hours,
            wasted=self.wasted + other.wasted,
            complete_hours=self.complete_hours + other.complete_hours,
            pruned_hours=self.pruned_hours + other.pruned_hours,
            baselines=tuple(sorted((*self.baselines, *other.baselines), key=_number)),
            finals=tuple(sorted((*self.finals, *other.finals), key=_number)),
            confirmations=tuple(sorted((*self.confirmations, *other.confirmations), key=_number)),
            states=self.states + other.states,
            stopped=self.stopped + other.stopped,
            disruptions=self.disruptions + other.disruptions,
            lowest=tuple(nsmallest(TOP, (*self.lowest, *other.lowest), key=_lowest_first)),
            highest=tuple(nsmallest(TOP, (*self.highest, *other.highest), key=_highest_first)),
            faults=self.faults + other.faults,
            last_fault=max(filter(None, (self.last_fault, other.last_fault)), key=_number, default=None),
            last_end=max(filter(None, (self.last_end, other.last_end)), key=_number, default=None),
            diagnoses=_merged((*self.diagnoses.items(), *other.diagnoses.items())),
            curve=self.curve + other.curve,
        )

    @property
    def search(self) -> int:
        """Search trials."""
        return self.states.total()


def tally(facts: StudyFacts) -> Tally:
    """Of the finished trials of a study."""
    return Tally.of(facts.trials) if facts.history is None else facts.history


def _merged(found: Iterable[tuple[str, Diagnosed]]) -> Mapping[str, Diagnosed]:
    by_name: dict[str, Diagnosed] = {}
    for name, diagnosed in found:
        by_name[name] = by_name[name] + diagnosed if name in by_name else diagnosed
    if len(by_name) <= MOST_DIAGNOSES:
        return by_name
    return dict(nsmallest(MOST_DIAGNOSES, by_name.items(), key=lambda item: (item[1].example, item[0])))


def failed_by_itself(trial: Trial) -> bool:
    """Whether the trial failed for an unknown cause: not by its parameters, and not because the study ended."""
    ended = trial.last.ended
    return trial.state is TrialState.FAIL and ended is not None and ended.outcome in _OWN_FAULT and trial.reason != STUDY_ENDED


def disruptions(trial: Trial) -> int:
    """How often it was disrupted, other than by people who asked for that."""
    ends = (attempt.ended for attempt in trial.attempts if attempt.ended is not None)
    return sum(ended.outcome is Outcome.DISRUPTED and ended.reason not in NOT_COUNTED for ended in ends)


def attempt_hours(attempt: Attempt, now: float) -> float:
    """Hours the attempt has held its place: from when it got it to its end, or until now. Waiting for one is none."""
    ended = known_end(attempt)
    return 0.0 if attempt.placed_at is None else max(0.0, (ended.at if ended else now) - attempt.placed_at) / HOUR


def wasted_hours(attempt: Attempt) -> float:
    """Its hours, if it failed or was disrupted."""
    return attempt_hours(attempt, attempt.ended.at) if attempt.ended is not None and attempt.ended.outcome in _WASTED else 0.0


def _hours(trial: Trial) -> float:
    """Of a finished trial's attempts."""
    return sum(attempt_hours(attempt, attempt.ended.at) for attempt in trial.attempts if attempt.ended is not None)


def _end(trial: Trial) -> End:
    """Of a finished trial, as the course of the search has it."""
    assert trial.finished_at is not None, "it is finished"
    value = trial.value if trial.state is TrialState.COMPLETE else None
    return End(at=trial.finished_at, number=trial.number, hours=_hours(trial), value=value)


def known_end(attempt: Attempt) -> Ended | None:
    """As recorded, or else as seen."""
    return attempt.ended or (attempt.observed.ended if attempt.observed else None)


def _earliest(diagnosed: Diagnosed) -> int:
    return diagnosed.example


def _number(trial: Trial) -> int:
    return trial.number


def _lowest_first(trial: Trial) -> tuple[float, int]:
    return trial.value or 0.0, trial.number


def _highest_first(trial: Trial) -> tuple[float, int]:
    return -(trial.value or 0.0), trial.number

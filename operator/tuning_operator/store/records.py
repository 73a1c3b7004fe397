"""What the database answers, frozen. Trials and attempts are the engine's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tuning_operator.engine.facts import SamplerChoice, Trial, Verdict
from tuning_operator.store.identity import StudyIdentity

MAX_STEP: Final = 2**31 - 1
"""Largest step of a report: Optuna's column is a 32-bit integer."""


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """A study in a few words."""

    identity: StudyIdentity
    began_at: float
    fence: int  # how many owners it has had
    verdict: Verdict | None


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """All that is stored of a study but its event log."""

    spec_json: str
    began_at: float
    choice: SamplerChoice | None
    verdict: Verdict | None
    trials: tuple[Trial, ...]  # by number
    exhausted: bool
    search_end: Verdict | None = None  # how the search ended, where runs follow it
    gpu_seconds: Mapping[tuple[int, int], float] = field(default_factory=dict)  # of concluded attempts: (trial, attempt)


@dataclass(frozen=True, kw_only=True)
class ReportedPoint:
    """An intermediate value of the objective; may be NaN or infinite."""

    trial: int
    step: int
    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.step <= MAX_STEP:
            raise ValueError(f"step {self.step} of trial {self.trial} is outside 0 .. {MAX_STEP}; count steps from 0")


class EventKind(StrEnum):
    """What the log records: all that a replay of the search needs, in its order."""

    ASK = "ask"
    TELL = "tell"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a study's log."""

    sequence: int  # 1, 2, 3 ... within the study, in order of commit, without gaps
    kind: EventKind
    trial: int
    at: float
    detail: Mapping[str, Any]

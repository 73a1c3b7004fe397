"""The engine's facts as JSON texts, for columns that are read and compared whole.

Python's JSON escapes everything outside ASCII, so a container's last words (NUL bytes, broken surrogates) fit any
database; and it keeps NaN and infinities, which a metric may be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import Attempt, Ended, Outcome, SamplerChoice, Trial, Verdict


def to_json(value: object) -> str:
    """Canonical text: equal values give equal texts, NaN included."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def ended_to_json(ended: Ended) -> str:
    """The end of an attempt."""
    return to_json(
        {
            "outcome": ended.outcome,
            "at": ended.at,
            "reason": ended.reason,
            "message": ended.message,
            "metrics": dict(ended.metrics),
            "pruned": ended.pruned,
            "placed_at": ended.placed_at,
            **diagnoses_document(ended.diagnoses),
            **_notes_document(ended.notes),
        }
    )


def ended_from_json(text: str) -> Ended:
    """The inverse of `ended_to_json`."""
    fields = json.loads(text)
    return Ended(**fields | {"outcome": Outcome(fields["outcome"]), "diagnoses": diagnoses_of(fields)})


def _notes_document(notes: Mapping[str, str]) -> dict[str, Any]:
    return {"notes": dict(notes)} if notes else {}


def diagnoses_document(diagnoses: Sequence[Diagnosis], *, key: str = "diagnoses") -> dict[str, Any]:
    """What a trial says was wrong with its training; nothing at all where it says nothing, as in older rows."""
    return {key: [vars(diagnosis) for diagnosis in diagnoses]} if diagnoses else {}


def diagnoses_of(fields: Mapping[str, Any], *, key: str = "diagnoses") -> tuple[Diagnosis, ...]:
    """The inverse of `diagnoses_document`."""
    return tuple(Diagnosis(**diagnosis) for diagnosis in fields.get(key, ()))


def verdict_to_json(verdict: Verdict) -> str:
    """The end of a study."""
    return to_json(vars(verdict))


def verdict_from_json(text: str) -> Verdict:
    """The inverse of `verdict_to_json`."""
    return Verdict(**json.loads(text))


def choice_to_json(choice: SamplerChoice) -> str:
    """The sampler in use."""
    return to_json(vars(choice))


def choice_from_json(text: str) -> SamplerChoice:
    """The inverse of `choice_to_json`."""
    return SamplerChoice(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A result that the gateway received."""

    metrics: Mapping[str, float]
    pruned: bool
    diagnoses: tuple[Diagnosis, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def posted_to_json(
    metrics: Mapping[str, float],
    *,
    pruned: bool,
    diagnoses: Sequence[Diagnosis] = (),
    notes: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A result that the gateway received."""
    return to_json({"metrics": dict(metrics), "pruned": pruned, **diagnoses_document(diagnoses), **_notes_document(notes)})


def posted_from_json(text: str) -> Posted:
    """The inverse of `posted_to_json`."""
    fields = json.loads(text)
    return Posted(**fields | {"diagnoses": diagnoses_of(fields)})


@dataclass(frozen=True, kw_only=True)
class Told:
    """What Optuna's own rows have no place for in the end of a trial."""

    reason: str
    message: str
    at: float


def told_to_json(tell: Tell, at: float) -> str:
    """What Optuna's own rows have no place for in the end of a trial."""
    return to_json({"reason": tell.reason, "message": tell.message, "at": at})


def told_from_json(text: str) -> Told:
    """The inverse of `told_to_json`."""
    return Told(**json.loads(text))


def claim_digest(trial: Trial, distributions: Mapping[str, str]) -> str:
    """A digest of everything that claiming this trial writes: equal claims have equal digests."""
    content = [
        trial.role,
        trial.seed,
        trial.claimed_at,
        dict(trial.parameters),
        dict(distributions),
        dict(trial.sampler_state),
        attempt_content(trial.attempts[0]),
    ]
    return hashlib.sha256(to_json(content).encode()).hexdigest()


def attempt_content(attempt: Attempt) -> Sequence[Any]:
    """What claiming this attempt writes."""
    return [attempt.number, attempt.generation, attempt.claimed_at]

"""What a trial says was wrong with its training, and how much of that is kept."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

KNOWN: Final = frozenset(
    {
        "bad-start",
        "dead-units",
        "did-not-converge",
        "diverged",
        "exploding-gradients",
        "large-batch-gap",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "not-learning",
        "out-of-memory",
        "overfitting",
        "unscaled-features",
        "unstable",
        "vanishing-gradients",
    }
)
"""Names that the project's own trainer and engine give: a bounded set, fit for reasons and labels. Trials may give others."""

MOST: Final = 16
"""Diagnoses that are kept of one result."""

LONGEST_ADVICE: Final = 300
"""Characters."""

# JSON has no literal for these; a result writes them as strings.
NOT_FINITE: Final = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A remark on a training."""

    name: str
    advice: str = ""  # a sentence: what was seen, and what to do about it
    figure: float | None = None  # that showed it; may be nan or infinite
    threshold: float | None = None  # that the figure was held against

    @property
    def reason(self) -> str | None:
        """The name as a reason of a trial's end, such as OutOfMemory; None for one that is not known."""
        return self.name.title().replace("-", "") if self.name in KNOWN else None

    @property
    def label(self) -> str:
        """The name as a label of a metric: one of a bounded set."""
        return self.name if self.name in KNOWN else "other"


def read(value: object) -> tuple[Diagnosis, ...]:
    """The diagnoses of a result, as it was written.

    What is malformed is passed over, and so is a second one of the same name: a remark must not cost a finished training.
    """
    found: dict[str, Diagnosis] = {}
    for diagnosis in _well_formed(value):
        if len(found) < MOST:
            found.setdefault(diagnosis.name, diagnosis)
    return tuple(found.values())


def _well_formed(value: object) -> Iterator[Diagnosis]:
    for entry in value if isinstance(value, list) else ():
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and _NAME.fullmatch(name):
            yield Diagnosis(
                name=name,
                advice=_sentence(entry.get("advice")),
                figure=number(entry.get("figure")),
                threshold=number(entry.get("threshold")),
            )


def _sentence(value: object) -> str:
    """One line that any reader takes: a container may write NUL bytes and halves of characters."""
    words = " ".join(value.split()) if isinstance(value, str) else ""
    return "".join(filter(str.isprintable, words))[:LONGEST_ADVICE]


def number(value: object) -> float | None:
    """A number as JSON has it, or as one of the strings nan, inf and -inf; None for all else."""
    match value:
        case bool():
            return None
        case str():
            return float(value) if value.lower() in NOT_FINITE else None
        case int() | float():
            return _as_float(value)
    return None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond 1.8e308, which JSON allows
        return math.inf if value > 0 else -math.inf

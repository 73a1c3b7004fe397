"""The result as the contract writes it: one JSON object of at most 4,096 bytes, flat but for its diagnoses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

from tuning_client._diagnosis import Diagnosis
from tuning_client._errors import ConfigurationError

RESULT_LIMIT: Final = 4096
"""Bytes. What Kubernetes keeps of a termination message."""

MOST_DIAGNOSES: Final = 16
LONGEST_SENTENCE: Final = 300
"""Characters of a diagnosis' sentence."""

_PRUNED: Final = "pruned"
_DIAGNOSES: Final = "diagnoses"
_MESSAGE: Final = "message"
RESERVED: Final = frozenset({_PRUNED, _DIAGNOSES, _MESSAGE})
"""Names that no metric may have: whether the trial stopped itself, its diagnoses, and a sentence for people."""

BOUNDS: Final = (
    f"it has room for {RESULT_LIMIT} bytes and {MOST_DIAGNOSES} diagnoses, named like not-learning, whose figures are numbers"
)
"""Why something may be left out of a result."""

_DIAGNOSIS_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")

Document = dict[str, Any]


def wire_value(value: float) -> float | str:
    """A number as JSON knows it; JSON has no nan and no infinity, so these become strings."""
    return value if math.isfinite(value) else str(value)


def numbers(metrics: Mapping[str, object]) -> dict[str, float]:
    """The metrics as plain floats; scalars of numpy and torch are welcome.

    Raises:
        ConfigurationError: a name is reserved, or a value is not a number.
    """
    for name in RESERVED & metrics.keys():
        raise ConfigurationError(f"a metric is named {name}, a word that the result reserves; give the metric another name")
    return {name: _number(f"metric {name}", value) for name, value in metrics.items()}


def texts(notes: Mapping[str, object], *, taken: Collection[str]) -> dict[str, str]:
    """The notes as they are written.

    Raises:
        ConfigurationError: a name is reserved for something else, or a metric has it.
    """
    for name in notes.keys() & {*taken, _PRUNED, _DIAGNOSES}:
        raise ConfigurationError(f"a note is named {name}, a name that the result has another use for; give the note another one")
    return {name: str(text) for name, text in notes.items()}


def _number(what: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number raises, which is the check
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(f"{what} has the value {value!r}, which is not a number; pass one number") from None


def encode(
    metrics: Mapping[str, float],
    *,
    objective: str = "",
    diagnoses: Sequence[Diagnosis] = (),
    notes: Mapping[str, str] | None = None,
    pruned: bool = False,
) -> tuple[bytes, tuple[str, ...]]:
    """The JSON text, and the names of all that the limit left no room for.

    The objective goes first, then the diagnoses, then their sentences, the other metrics and the notes; of each kind
    first come, first kept. A diagnosis that the operator would not take is left out: a remark must not cost a finished
    training.
    """
    page = _Page({_PRUNED: True} if pruned else {})
    written = {name: wire_value(value) for name, value in metrics.items()}
    if objective in written:
        page.add(objective, {objective: written.pop(objective)})
    page.add_diagnoses(diagnoses)
    for name, value in written.items():
        page.add(name, {name: value})
    for name, text in (notes or {}).items():
        page.add(name, {name: text})
    return _json(page.document), tuple(page.left_out)


class _Page:
    """A document that grows as long as there is room."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.left_out: list[str] = []

    def add(self, what: str, entry: Document) -> bool:
        longer = self.document | entry
        if len(_json(longer)) > RESULT_LIMIT:
            self.left_out.append(what)
            return False
        self.document = longer
        return True

    def add_diagnoses(self, diagnoses: Sequence[Diagnosis]) -> None:
        entries: list[Document] = []
        sentences: list[str] = []
        for diagnosis in diagnoses:
            entry = _without_sentence(diagnosis) if len(entries) < MOST_DIAGNOSES else None
            if entry is None:
                self.left_out.append(f"diagnosis {diagnosis.name}")
            elif self.add(f"diagnosis {diagnosis.name}", {_DIAGNOSES: [*entries, entry]}):
                entries.append(entry)
                sentences.append(shorten(diagnosis.sentence, LONGEST_SENTENCE, placeholder=" ..."))
        for place, sentence in enumerate(sentences):
            longer = [*entries[:place], entries[place] | {"advice": sentence}, *entries[place + 1 :]]
            if self.add(f"the sentence of {entries[place]['name']}", {_DIAGNOSES: longer}):
                entries = longer


def _without_sentence(diagnosis: Diagnosis) -> Document | None:
    """A diagnosis as it is written but for its sentence; None for one that the operator would not take."""
    figures = {"figure": diagnosis.figure, "threshold": diagnosis.threshold}
    try:
        known = {name: wire_value(_number(name, value)) for name, value in figures.items() if value is not None}
    except ConfigurationError:
        return None
    return {"name": diagnosis.name, **known} if _DIAGNOSIS_NAME.fullmatch(diagnosis.name) else None


def _json(document: Document) -> bytes:
    return json.dumps(document, allow_nan=False).encode()


def write(path: Path, text: bytes) -> None:
    """Write in place: the file may be a bind mount, on which a rename fails (EBUSY).

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(text)

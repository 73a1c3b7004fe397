"""Scores of single test rows, as a final run notes them. Pure."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tuning_operator.engine.facts import Trial

FINGERPRINT: Final = "test_fingerprint"
"""Note of a final run: equal for equal test rows in equal order."""

SCORES: Final = "test_scores"
"""Note of a final run: the name of a score, its kind, and the scores of all rows in base64."""

ROWS: Final = "test_rows"
"""Metric of a final run: how many rows it was tested on."""

_BYTES_OF_A_FLOAT: Final = 4
_BITS: Final = 8


@dataclass(frozen=True)
class Scores:
    """One number for each test row, in the order of the rows."""

    fingerprint: str
    name: str
    values: tuple[float, ...]


def scores_of(trial: Trial) -> Scores | None:
    """The scores that a final run noted; None where it noted none, or none that can be read."""
    ended = trial.last.ended
    notes: Mapping[str, str] = ended.notes if ended else {}
    rows = trial.metrics.get(ROWS, 0.0)
    name, _, rest = notes.get(SCORES, "").partition(":")
    kind, _, text = rest.partition(":")
    if not (name and text and FINGERPRINT in notes and rows >= 1 and rows == int(rows)):
        return None
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    values = _read(kind, content, int(rows))
    return None if values is None else Scores(notes[FINGERPRINT], name, values)


def _read(kind: str, content: bytes, rows: int) -> tuple[float, ...] | None:
    if kind == "bits" and len(content) == -(-rows // _BITS):
        return tuple(float(content[row // _BITS] >> (_BITS - 1 - row % _BITS) & 1) for row in range(rows))
    if kind == "float32" and len(content) == rows * _BYTES_OF_A_FLOAT:
        return struct.unpack(f"<{rows}f", content)
    return None

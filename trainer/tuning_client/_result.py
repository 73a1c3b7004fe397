"""The result as the contract writes it: one flat JSON object of metrics, of at most 4,096 bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tuning_client._errors import ConfigurationError

RESULT_LIMIT: Final = 4096
"""Bytes. What Kubernetes keeps of a termination message."""

PRUNED_KEY: Final = "pruned"
"""Reserved: true when the trial stopped itself because it was not worth finishing."""


def wire_value(value: float) -> float | str:
    """A number as JSON knows it; JSON has no nan and no infinity, so these become strings."""
    return value if math.isfinite(value) else str(value)


def numbers(metrics: Mapping[str, object]) -> dict[str, float]:
    """The metrics as plain floats; scalars of numpy and torch are welcome.

    Raises:
        ConfigurationError: a name is reserved, or a value is not a number.
    """
    if PRUNED_KEY in metrics:
        raise ConfigurationError(f"a metric is named {PRUNED_KEY}, a word that the result reserves; give the metric another name")
    return {name: _number(name, value) for name, value in metrics.items()}


def _number(name: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number raises, which is the check
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(f"metric {name} has the value {value!r}, which is not a number; pass one number") from None


def encode(metrics: Mapping[str, float], *, pruned: bool = False) -> tuple[bytes, tuple[str, ...]]:
    """The JSON text, and the names of the metrics that the limit left no room for; first come, first kept."""
    document: dict[str, float | str | bool] = {PRUNED_KEY: True} if pruned else {}
    left_out = []
    for name, value in metrics.items():
        longer = document | {name: wire_value(value)}
        if len(_json(longer)) <= RESULT_LIMIT:
            document = longer
        else:
            left_out.append(name)
    return _json(document), tuple(left_out)


def _json(document: Mapping[str, float | str | bool]) -> bytes:
    return json.dumps(document, allow_nan=False).encode()


def write(path: Path, text: bytes) -> None:
    """Write in place: the file may be a bind mount, on which a rename fails (EBUSY).

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(text)

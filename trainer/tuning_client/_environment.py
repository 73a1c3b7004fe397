"""What a trial is told: the TUNING_* variables of its environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from tuning_client._errors import ConfigurationError

ParameterValue = float | int | str
Absent = TypeVar("Absent", int, None)

_LONGEST_WHOLE: Final = 18  # digits; what every 64-bit reader takes


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The contract's variables, decoded. Absent and empty ones read alike, so that a run by hand needs none."""

    parameters: Mapping[str, ParameterValue]
    seed: int
    role: str
    number: int
    metric: str
    folds: int | None
    fold: int | None
    final_epochs: int | None
    by_hand: bool
    result_file: Path | None
    endpoint: str | None
    token_file: Path | None
    checkpoint_dir: Path | None
    output_dir: Path | None


def read(environ: Mapping[str, str]) -> Environment:
    """Decode the variables.

    Raises:
        ConfigurationError: one of them has a value that the contract does not allow.
    """
    return Environment(
        parameters=_parameters(environ.get("TUNING_PARAMETERS", "")),
        seed=_whole(environ, "TUNING_SEED", absent=0),
        role=environ.get("TUNING_ROLE") or "search",
        number=_whole(environ, "TUNING_TRIAL", absent=0),
        metric=environ.get("TUNING_METRIC") or "value",
        folds=_whole(environ, "TUNING_FOLDS", absent=None, least=2),
        fold=_whole(environ, "TUNING_FOLD", absent=None),
        final_epochs=_whole(environ, "TUNING_FINAL_EPOCHS", absent=None, least=1),
        by_hand=not environ.get("TUNING_TRIAL"),
        result_file=_path(environ, "TUNING_RESULT_FILE"),
        endpoint=environ.get("TUNING_ENDPOINT") or None,
        token_file=_path(environ, "TUNING_TOKEN_FILE"),
        checkpoint_dir=_path(environ, "TUNING_CHECKPOINT_DIR"),
        output_dir=_path(environ, "TUNING_OUTPUT_DIR"),
    )


def _parameters(text: str) -> Mapping[str, ParameterValue]:
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(_is_value(value) for value in document.values()):
        raise ConfigurationError(
            f"TUNING_PARAMETERS is {text[:200]!r}; it must be a JSON object of numbers and strings,"
            ' such as {"learning_rate": 0.01}'
        )
    return MappingProxyType(document)


def _is_value(value: object) -> bool:
    return isinstance(value, float | int | str) and not isinstance(value, bool)


def _whole(environ: Mapping[str, str], name: str, *, absent: Absent, least: int = 0) -> int | Absent:
    text = environ.get(name)
    if not text:
        return absent
    whole = int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_WHOLE else -1
    if whole < least:
        raise ConfigurationError(f"{name} is {text!r}; it must be a whole number from {least} on")
    return whole


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    text = environ.get(name)
    return Path(text) if text else None

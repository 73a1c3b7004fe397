"""User attributes: what stock Optuna and its dashboard show of a trial besides parameters and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import Trial
from tuning_operator.store import codec

ROLE: Final = "tuning:role"
SEED: Final = "tuning:seed"
REASON: Final = "tuning:reason"
MESSAGE: Final = "tuning:message"
METRIC_PREFIX: Final = "tuning:metric:"
DIAGNOSES: Final = "tuning:diagnoses"


def at_claim(trial: Trial) -> dict[str, object]:
    """Attributes of a trial from its beginning."""
    return {ROLE: trial.role, SEED: trial.seed}


def diagnoses_of(shown: Mapping[str, Any]) -> tuple[Diagnosis, ...]:
    """The diagnoses among a trial's attributes."""
    return codec.diagnoses_of(shown, key=DIAGNOSES)


def at_end(tell: Tell, metrics: Mapping[str, float], diagnoses: Sequence[Diagnosis] = ()) -> dict[str, object]:
    """Attributes of a trial from its end: why it ended, every metric of its result, and what was wrong with its training."""
    shown: dict[str, object] = {REASON: tell.reason, MESSAGE: tell.message}
    shown |= {METRIC_PREFIX + name: value for name, value in metrics.items()}
    return shown | codec.diagnoses_document(diagnoses, key=DIAGNOSES)

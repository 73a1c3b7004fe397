"""Small studies for tests, written as the manifests that users write."""

from __future__ import annotations

import json
from typing import Any

from tuning_operator.api.study import StudySpec

LEARNING_RATE = {"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "log", "default": 1e-3}}


def study_spec(**changes: Any) -> StudySpec:
    """A valid spec maximizing val_accuracy over one learning rate; keyword arguments replace whole fields of the spec."""
    document: dict[str, Any] = {
        "objectives": [{"metric": "val_accuracy", "direction": "maximize"}],
        "parameters": [LEARNING_RATE],
        "baseline": {"repeats": 0},
        "budget": {"maxTrials": 4, "parallelism": 2},
        "trial": {"template": {"spec": {"containers": [{"name": "trainer", "image": "tuning-trainer"}]}}},
    }
    return StudySpec.model_validate_json(json.dumps(document | changes))

"""TuningStudy objects as the API server gives them."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.unit.kubernetes.objects import NAMESPACE, STUDY_UID

from tuning_operator.api.constants import API_VERSION, KIND
from tuning_operator.runtime.kubernetes.views import StudyKey

UID: Final = STUDY_UID  # whose Jobs and Pods there are samples of
KEY: Final = StudyKey(NAMESPACE, UID)

SPEC: Final[dict[str, Any]] = {
    "objectives": [{"metric": "val_accuracy", "direction": "maximize"}],
    "parameters": [{"name": "lr", "float": {"min": 1e-5, "max": 1e-1, "scale": "log", "default": 1e-3}}],
    "budget": {"maxTrials": 8, "parallelism": 4},
    "trial": {"template": {"spec": {"containers": [{"name": "trainer", "image": "trainer:1"}]}}},
}


def study(
    *, namespace: str = NAMESPACE, name: str = "digits", uid: str = UID, version: int = 1, generation: int = 1, **more: Any
) -> dict[str, Any]:
    """An object.

    Args:
        more: other fields, such as spec, status; deletionTimestamp goes into the metadata.
    """
    metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version), "generation": generation}
    if "deletionTimestamp" in more:
        metadata["deletionTimestamp"] = more.pop("deletionTimestamp")
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": json.loads(json.dumps(SPEC)), **more}

"""How tools that roll out manifests (kpt, Flux, Argo CD's health of unknown kinds) read an object: kstatus, restated.

After sigs.k8s.io/cli-utils, pkg/kstatus/status: generic.go (checkGenericProperties), then for kinds that it does not know
status.go (checkReadyCondition, and else Current).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What kstatus says of an object."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"


@dataclass(frozen=True)
class Reading:
    """The status and why."""

    status: Status
    message: str


def read(raw: Mapping[str, Any]) -> Reading:
    """What kstatus makes of an object as the API server gives it, of a kind that is not built in."""
    metadata, status = raw["metadata"], raw.get("status", {})
    if metadata.get("deletionTimestamp"):
        return Reading(Status.TERMINATING, "Resource scheduled for deletion")
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    # An object that has never been looked at passes here, and is Current below.
    if generation is not None and observed is not None and observed != generation:
        return Reading(Status.IN_PROGRESS, f"generation is {generation}, but latest observed generation is {observed}")
    conditions = status.get("conditions", [])
    for condition in conditions:  # the first in the list decides, should both be true
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return Reading(Status.IN_PROGRESS, condition.get("message", ""))
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return Reading(Status.FAILED, condition.get("message", ""))
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    if ready is not None and ready["status"] in ("False", "Unknown"):
        return Reading(Status.IN_PROGRESS, ready.get("message", ""))
    return Reading(Status.CURRENT, "Resource is current")

"""Which Event of the cluster says what about which object. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuning_operator.runtime.kubernetes.causes import WarningEvent


def warning(event: Mapping[str, Any]) -> tuple[str, WarningEvent] | None:
    """The uid of the object that a v1 Event warns about, and what it says; None when it is no warning about one."""
    uid = (event.get("involvedObject") or {}).get("uid")
    if event.get("type") != "Warning" or not uid:
        return None
    return uid, WarningEvent(reason=event.get("reason") or "", message=event.get("message") or "", seen=_last_seen(event))


def _last_seen(event: Mapping[str, Any]) -> tuple[str, int]:
    # Times of one format compare as text; within a second, the version tells.
    metadata = event["metadata"]
    seen = event.get("lastTimestamp") or event.get("eventTime") or metadata.get("creationTimestamp") or ""
    return seen[:19], int(metadata["resourceVersion"])

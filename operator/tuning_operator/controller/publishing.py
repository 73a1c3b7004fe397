"""What is said of a study in the cluster, and when: its status, and Events where that changes. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import ValidationError

from tuning_operator.api.constants import API_VERSION, KIND
from tuning_operator.api.status import StatusCondition, StudyStatus, Usage
from tuning_operator.controller.studies_api import FIELD_MANAGER
from tuning_operator.runtime.kubernetes.client import Document

COUNTS_SECONDS: Final = 1.0
"""Counts of trials are written at most so often: many trials may end at once."""

FIGURES_SECONDS: Final = 60.0
"""Figures that time alone moves, such as GPU-hours, are written at most so often."""

_EVENT_MESSAGE_LIMIT: Final = 1024


def status_of(raw: Mapping[str, Any]) -> StudyStatus | None:
    """The status in an object; None when there is none, or not one of ours."""
    try:
        return StudyStatus.model_validate_json(json.dumps(raw["status"])) if raw.get("status") else None
    except ValidationError:
        return None


def due_at(published: StudyStatus | None, status: StudyStatus, written_at: float) -> float | None:
    """When to write a status; None when it says nothing new. What people and programs wait for is written at once.

    Args:
        published: the status that stands in the cluster.
        status: the one that holds now.
        written_at: when one was last written, seconds since the epoch.
    """
    if published == status:
        return None
    if published is None or _turning_points(published) != _turning_points(status):
        return written_at
    if _without_moving_figures(published) != _without_moving_figures(status):
        return written_at + COUNTS_SECONDS
    return written_at + FIGURES_SECONDS


def _turning_points(status: StudyStatus) -> tuple[Any, ...]:
    return status.observed_generation, status.phase, status.conditions


def _without_moving_figures(status: StudyStatus) -> StudyStatus:
    return status.model_copy(update={"usage": Usage(), "estimated_completion": None})


def apply_document(raw: Mapping[str, Any], status: StudyStatus) -> Document:
    """The body of a server-side apply of a status to the object as it was seen."""
    metadata = raw["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        # A uid that is wrong protects from nothing in an apply; a version does.
        "metadata": {name: metadata[name] for name in ("name", "namespace", "resourceVersion")},
        "status": json.loads(status.model_dump_json(exclude_none=True)),
    }


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """An Event to come."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def announcements(before: StudyStatus | None, after: StudyStatus) -> Iterator[Announcement]:
    """What to tell people who watch: each change of a condition once, the begin of the search, what the defaults reach."""
    if after.search and not (before and before.search):
        chosen = f"sampler {after.search.sampler}: {after.search.reason}"
        yield Announcement(type="Normal", reason="Accepted", message=chosen)
    if after.baseline and _searches(after) and not (before and _searches(before)):
        yield Announcement(type="Normal", reason="BaselineKnown", message=_baseline(after))
    for condition in after.conditions:
        # What is over is not suspended any more, nor stalled, but nobody resumed or mended it.
        if condition.status == "True" or not _is_over(after):
            yield from _change(_find(before, condition.type), condition)


def _baseline(status: StudyStatus) -> str:
    assert status.baseline is not None
    spread = "" if status.baseline.stddev is None else f", standard deviation {status.baseline.stddev:.3g}"
    return f"the defaults reach {status.baseline.value:.6g} (mean of {status.baseline.repeats}{spread})"


_BECAME: Final[Mapping[tuple[str, str], tuple[Literal["Normal", "Warning"], str]]] = {
    ("Succeeded", "True"): ("Normal", "Succeeded"),
    ("Failed", "True"): ("Warning", "Failed"),
    ("Suspended", "True"): ("Normal", "Suspended"),
    ("Suspended", "False"): ("Normal", "Resumed"),
    ("Stalled", "True"): ("Warning", "Stalled"),
    ("Stalled", "False"): ("Normal", "Mended"),
}


def _change(before: StatusCondition | None, after: StatusCondition) -> Iterator[Announcement]:
    was = before.status if before else "False"
    # A study that is stalled for another reason than before has something new to be mended.
    same_reason = before is None or before.reason == after.reason or after.type != "Stalled"
    if (was == after.status and (same_reason or after.status == "False")) or after.reason == "StudyFailed":
        return
    if (kind := _BECAME.get((after.type, after.status))) is not None:
        words = f"{after.reason}: {after.message}" if after.message else after.reason
        yield Announcement(type=kind[0], reason=kind[1], message=words)


def _find(status: StudyStatus | None, kind: str) -> StatusCondition | None:
    return next((condition for condition in status.conditions if condition.type == kind), None) if status else None


def _is_over(status: StudyStatus) -> bool:
    reconciling = _find(status, "Reconciling")
    return reconciling is not None and reconciling.reason in ("StoppingTrials", "Finished")


def _searches(status: StudyStatus) -> bool:
    """Whether there is a search trial: then every baseline run has ended."""
    counts = status.trials
    return counts.pending + counts.running > 0 or not counts.progress.startswith("0/")


def event_document(raw: Mapping[str, Any], said: Announcement, now: float) -> Document:
    """A v1 Event about the study."""
    metadata = raw["metadata"]
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {"apiVersion": API_VERSION, "kind": KIND, **about},
        "type": said.type,
        "reason": said.reason,
        "message": said.message[:_EVENT_MESSAGE_LIMIT],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
    }

"""Events as the API server gives them."""

from __future__ import annotations

from typing import Any

from tuning_operator.runtime.kubernetes.causes import WarningEvent
from tuning_operator.runtime.kubernetes.events import warning


def event(message: str = "no", *, kind: str = "Warning", version: int = 1, **times: str | None) -> dict[str, Any]:
    about = {"kind": "Job", "uid": "job-1"}
    metadata = {"resourceVersion": str(version), "creationTimestamp": "2026-11-23T12:00:00Z"}
    return {"metadata": metadata, "type": kind, "involvedObject": about, "reason": "FailedCreate", "message": message, **times}


def test_a_warning_is_about_an_object() -> None:
    assert warning(event()) == ("job-1", WarningEvent(reason="FailedCreate", message="no"))


def test_what_went_well_is_no_warning() -> None:
    assert warning(event(kind="Normal")) is None


def test_a_warning_about_nothing_is_none() -> None:
    assert warning(event() | {"involvedObject": {"kind": "Node", "name": "a"}}) is None


def test_the_newer_event_is_told_whichever_way_its_time_is_written() -> None:
    events = [
        event("third", lastTimestamp=None, eventTime="2026-11-23T12:00:03.123456Z"),
        event("fourth", lastTimestamp="2026-11-23T12:00:03Z", version=2),
        event("second", lastTimestamp="2026-11-23T12:00:02Z", version=9),
        event("first", version=3),
    ]
    said = [found for _, found in filter(None, map(warning, events))]
    assert [each.message for each in sorted(said, key=lambda each: each.seen)] == ["first", "second", "third", "fourth"]

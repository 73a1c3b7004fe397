"""A finished study is deleted when spec.ttlSecondsAfterFinished is over."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.actions import ExpireStudy
from tuning_operator.engine.facts import StudyFacts


def policy(facts: StudyFacts, now: float) -> Iterator[ExpireStudy]:
    """Delete the study object once its time is over, counted from its last trial's end."""
    at = expires_at(facts)
    if at is not None and now >= at:
        yield ExpireStudy()


def expires_at(facts: StudyFacts) -> float | None:
    """When it is to be deleted; None while it is not finished, when nobody asked for that, and when it is gone."""
    ttl, finished = facts.spec.ttl_seconds_after_finished, facts.finished_at
    if ttl is None or finished is None or facts.expired or facts.deleted:
        return None
    return finished + ttl

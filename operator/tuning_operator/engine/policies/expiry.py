"""A finished study is deleted when spec.ttlSecondsAfterFinished is over."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.actions import ExpireStudy
from tuning_operator.engine.facts import StudyFacts


def policy(facts: StudyFacts, now: float) -> Iterator[ExpireStudy]:
    """Delete the study object once its time is over, counted from its last trial's end."""
    ttl, finished = facts.spec.ttl_seconds_after_finished, facts.finished_at
    if ttl is not None and finished is not None and now >= finished + ttl and not facts.expired:
        yield ExpireStudy()

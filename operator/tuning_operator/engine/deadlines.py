"""When time alone changes what is to be done for a study. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.facts import StudyFacts
from tuning_operator.engine.policies import expiry, timeout, verdict


def next_deadline(facts: StudyFacts, now: float) -> float | None:
    """The next moment at which `decide` may decide otherwise though nothing happens; None when there is none.

    Seconds since the epoch. It may lie in the past, and then the time to decide is now.
    """
    return min((at for at in _deadlines(facts, now) if at is not None), default=None)


def _deadlines(facts: StudyFacts, now: float) -> Iterator[float | None]:
    if facts.searching:
        yield verdict.duration_ends_at(facts)
        yield verdict.gpu_hours_end_at(facts, now)
    for _, over_at in timeout.limits(facts):
        yield over_at
    yield expiry.expires_at(facts)

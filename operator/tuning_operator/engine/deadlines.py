"""When time alone changes what is to be done for a study. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.api.base import seconds
from tuning_operator.engine import summary
from tuning_operator.engine.facts import StudyFacts

_HOUR = 3600.0


def next_deadline(facts: StudyFacts, now: float) -> float | None:
    """The next moment at which `decide` may decide otherwise though nothing happens; None when there is none.

    Seconds since the epoch. It may lie in the past, and then the time to decide is now.
    """
    return min(_deadlines(facts, now), default=None)


def _deadlines(facts: StudyFacts, now: float) -> Iterator[float]:
    if facts.verdict is None:
        yield from _ends_of_search(facts, now)
    yield from _time_limits(facts)
    ttl, finished = facts.spec.ttl_seconds_after_finished, facts.finished_at
    if ttl is not None and finished is not None and not facts.expired:
        yield finished + ttl


def _ends_of_search(facts: StudyFacts, now: float) -> Iterator[float]:
    budget = facts.spec.budget
    if budget.max_duration is not None:
        yield facts.began_at + seconds(budget.max_duration)
    running = sum(trial.last.observed is not None and trial.last.observed.started_at is not None for trial in facts.live)
    if budget.max_gpu_hours is not None and running and facts.spec.trial.gpus:
        left = budget.max_gpu_hours - summary.gpu_hours(facts, now)
        yield now + left * _HOUR / (running * facts.spec.trial.gpus)


def _time_limits(facts: StudyFacts) -> Iterator[float]:
    if facts.spec.trial.timeout is None:
        return
    limit = seconds(facts.spec.trial.timeout)
    for trial in facts.live:
        seen = trial.last.observed
        if seen is not None and seen.started_at is not None and seen.ended is None and trial.last.stop_reason is None:
            yield seen.started_at + limit

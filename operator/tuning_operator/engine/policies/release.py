"""A recorded attempt need not be kept by the runtime any more."""

from collections.abc import Iterator

from tuning_operator.engine.actions import ReleaseAttempt
from tuning_operator.engine.facts import StudyFacts


def policy(facts: StudyFacts, _now: float) -> Iterator[ReleaseAttempt]:
    """Release every recorded attempt that the runtime still keeps."""
    for trial in facts.trials:
        for attempt in trial.attempts:
            if attempt.ended and attempt.observed and attempt.observed.ended and not attempt.observed.released:
                yield ReleaseAttempt(trial=trial.number, attempt=attempt.number)

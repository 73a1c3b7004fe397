"""What is not wanted any more holds no slot: running attempts are stopped, waiting trials told.

After the search that is so for its trials, after the verdict and while suspended for all.
"""

from __future__ import annotations

from collections.abc import Iterator

from tuning_operator.engine.actions import Action, StopAttempt, Tell, TellTrial
from tuning_operator.engine.facts import STUDY_ENDED, Role, StopReason, StudyFacts, Trial, TrialState
from tuning_operator.engine.policies.conclude import never_started


def policy(facts: StudyFacts, now: float) -> Iterator[Action]:
    """Stop what runs, conclude what never started, and after the end tell what waits for another attempt."""
    for trial in facts.unfinished:
        ended = facts.verdict is not None or (facts.search_end is not None and trial.role is Role.SEARCH)
        if trial.last.live and (ended or facts.spec.suspend):
            yield from _end_attempt(trial, StopReason.STUDY_ENDED if ended else StopReason.SUSPENDED, facts, now)
        elif trial.last.live:
            yield from _asked_before(trial)
        elif ended:
            tell = Tell(state=TrialState.FAIL, value=None, reason=STUDY_ENDED, message="the study ended before its next attempt")
            yield TellTrial(trial=trial.number, tell=tell)


def _end_attempt(trial: Trial, reason: StopReason, facts: StudyFacts, now: float) -> Iterator[Action]:
    attempt = trial.last
    if attempt.observed is None and attempt.started_at is None:
        yield never_started(trial, reason, facts, now)
    elif attempt.stop_reason is None:
        yield StopAttempt(trial=trial.number, attempt=attempt.number, reason=reason)
    else:
        yield from _asked_before(trial)


def _asked_before(trial: Trial) -> Iterator[StopAttempt]:
    """Ask again where the reason was recorded and the runtime, perhaps because we were killed, was never asked."""
    attempt = trial.last
    if attempt.stop_reason is not None and attempt.observed is not None and not attempt.observed.stopping:
        yield StopAttempt(trial=trial.number, attempt=attempt.number, reason=attempt.stop_reason)

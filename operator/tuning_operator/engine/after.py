"""What the facts will be once an action has been carried out and nothing else has happened.

`decide` folds its policies over these, so that a later policy sees what an earlier one took: a slot, a trial number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.actions import (
    Action,
    AskTrial,
    ClaimAttempt,
    ClaimTrial,
    ConcludeAttempt,
    DecideEnd,
    ExpireStudy,
    ReleaseAttempt,
    StartAttempt,
    StopAttempt,
    Tell,
    TellTrial,
)
from tuning_operator.engine.facts import Attempt, Role, StudyFacts, Trial
from tuning_operator.engine.seeds import derive_seed


def new_attempt(facts: StudyFacts, number: int, now: float) -> Attempt:
    """The attempt of that number, as it is claimed now."""
    return Attempt(number=number, generation=facts.generation, claimed_at=now)


def new_trial(facts: StudyFacts, number: int, *, role: Role, parameters: Parameters, now: float) -> Trial:
    """A trial with its first attempt, as it is claimed now."""
    return Trial(
        number=number,
        role=role,
        parameters=parameters,
        seed=derive_seed(facts.spec.search.seed, "trial", number),
        claimed_at=now,
        attempts=(new_attempt(facts, 0, now),),
    )


def told(trial: Trial, tell: Tell, at: float) -> Trial:
    """The trial, finished."""
    metrics = trial.last.ended.metrics if trial.last.ended else {}
    return replace(
        trial, state=tell.state, value=tell.value, reason=tell.reason, message=tell.message, finished_at=at, metrics=metrics
    )


def concluded(trial: Trial, action: ConcludeAttempt) -> Trial:
    """The trial with that attempt recorded as ended, and finished when the action tells so."""
    attempt = replace(trial.attempts[action.attempt], ended=action.ended, last_step=trial.last_step)
    trial = trial.with_attempt(attempt)
    return told(trial, action.tell, action.ended.at) if action.tell else trial


def after(facts: StudyFacts, action: Action, now: float) -> StudyFacts:
    """The facts once this action has been carried out."""
    return _EFFECTS[type(action)](facts, action, now)


def _asked(facts: StudyFacts, action: AskTrial, now: float) -> StudyFacts:
    return facts.with_trial(new_trial(facts, action.number, role=Role.SEARCH, parameters={}, now=now))


def _claimed(facts: StudyFacts, action: ClaimTrial, now: float) -> StudyFacts:
    return facts.with_trial(new_trial(facts, action.number, role=action.role, parameters=action.parameters, now=now))


def _claimed_attempt(facts: StudyFacts, action: ClaimAttempt, now: float) -> StudyFacts:
    return facts.with_trial(facts.trial(action.trial).with_attempt(new_attempt(facts, action.attempt, now)))


def _with_attempt(facts: StudyFacts, action: StartAttempt | StopAttempt | ReleaseAttempt, **changes: Any) -> StudyFacts:
    trial = facts.trial(action.trial)
    return facts.with_trial(trial.with_attempt(replace(trial.attempts[action.attempt], **changes)))


def _started(facts: StudyFacts, action: StartAttempt, now: float) -> StudyFacts:
    return _with_attempt(facts, action, started_at=now)


def _stopping(facts: StudyFacts, action: StopAttempt, _now: float) -> StudyFacts:
    observed = facts.trial(action.trial).attempts[action.attempt].observed
    return _with_attempt(facts, action, stop_reason=action.reason, observed=observed and replace(observed, stopping=True))


def _concluded(facts: StudyFacts, action: ConcludeAttempt, _now: float) -> StudyFacts:
    return facts.with_trial(concluded(facts.trial(action.trial), action))


def _told(facts: StudyFacts, action: TellTrial, now: float) -> StudyFacts:
    return facts.with_trial(told(facts.trial(action.trial), action.tell, now))


def _released(facts: StudyFacts, action: ReleaseAttempt, _now: float) -> StudyFacts:
    observed = facts.trial(action.trial).attempts[action.attempt].observed
    return _with_attempt(facts, action, observed=observed and replace(observed, released=True))


def _decided(facts: StudyFacts, action: DecideEnd, _now: float) -> StudyFacts:
    return replace(facts, verdict=action.verdict)


def _expired(facts: StudyFacts, _action: ExpireStudy, _now: float) -> StudyFacts:
    return replace(facts, expired=True)


_EFFECTS: Mapping[type, Callable[[StudyFacts, Any, float], StudyFacts]] = {
    AskTrial: _asked,
    ClaimTrial: _claimed,
    ClaimAttempt: _claimed_attempt,
    StartAttempt: _started,
    StopAttempt: _stopping,
    ConcludeAttempt: _concluded,
    TellTrial: _told,
    ReleaseAttempt: _released,
    DecideEnd: _decided,
    ExpireStudy: _expired,
}

"""What the facts will be once an action has been carried out and nothing else has happened.

`decide` folds its policies over these, so that a later policy sees what an earlier one took: a slot, a trial number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    EndSearch,
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
    last = trial.last.ended
    return replace(
        trial,
        state=tell.state,
        value=tell.value,
        reason=tell.reason,
        message=tell.message,
        finished_at=at,
        metrics=last.metrics if last else {},
        diagnoses=last.diagnoses if last else (),
    )


def concluded(trial: Trial, action: ConcludeAttempt) -> Trial:
    """The trial with that attempt recorded as ended, and finished when the action tells so."""
    attempt = replace(trial.attempts[action.attempt], ended=action.ended, last_step=trial.last_step)
    trial = trial.with_attempt(attempt)
    return told(trial, action.tell, action.ended.at) if action.tell else trial


def after(facts: StudyFacts, actions: Iterable[Action], now: float) -> StudyFacts:
    """The facts once these actions have been carried out, in their order."""
    draft = _Draft(facts)
    for action in actions:
        if (effect := _ON_TRIALS.get(type(action))) is not None:
            draft.put(effect(draft, action, now))
        else:
            draft.facts = _ON_STUDY[type(action)](draft.facts, action)
    return draft.done()


class _Draft:
    """Facts that change: trials are put together once, not at each of many actions."""

    def __init__(self, facts: StudyFacts) -> None:
        self.facts = facts  # but for the trials that have changed
        self._changed: dict[int, Trial] = {}

    def trial(self, number: int) -> Trial:
        """As it is now."""
        return self._changed.get(number) or self.facts.trial(number)

    def put(self, trial: Trial) -> None:
        """Replace the trial of that number, or append it when it is the next."""
        self._changed[trial.number] = trial

    def done(self) -> StudyFacts:
        """With all changes."""
        return self.facts.with_trials(self._changed.values()) if self._changed else self.facts


def _asked(draft: _Draft, action: AskTrial, now: float) -> Trial:
    return new_trial(draft.facts, action.number, role=Role.SEARCH, parameters={}, now=now)


def _claimed(draft: _Draft, action: ClaimTrial, now: float) -> Trial:
    return new_trial(draft.facts, action.number, role=action.role, parameters=action.parameters, now=now)


def _claimed_attempt(draft: _Draft, action: ClaimAttempt, now: float) -> Trial:
    return draft.trial(action.trial).with_attempt(new_attempt(draft.facts, action.attempt, now))


def _with_attempt(draft: _Draft, action: StartAttempt | StopAttempt | ReleaseAttempt, **changes: Any) -> Trial:
    trial = draft.trial(action.trial)
    return trial.with_attempt(replace(trial.attempts[action.attempt], **changes))


def _started(draft: _Draft, action: StartAttempt, now: float) -> Trial:
    return _with_attempt(draft, action, started_at=now)


def _stopping(draft: _Draft, action: StopAttempt, _now: float) -> Trial:
    observed = draft.trial(action.trial).attempts[action.attempt].observed
    return _with_attempt(draft, action, stop_reason=action.reason, observed=observed and replace(observed, stopping=True))


def _concluded(draft: _Draft, action: ConcludeAttempt, _now: float) -> Trial:
    return concluded(draft.trial(action.trial), action)


def _told(draft: _Draft, action: TellTrial, now: float) -> Trial:
    return told(draft.trial(action.trial), action.tell, now)


def _released(draft: _Draft, action: ReleaseAttempt, _now: float) -> Trial:
    observed = draft.trial(action.trial).attempts[action.attempt].observed
    return _with_attempt(draft, action, observed=observed and replace(observed, released=True))


def _search_ended(facts: StudyFacts, action: EndSearch) -> StudyFacts:
    return replace(facts, search_end=action.verdict)


def _decided(facts: StudyFacts, action: DecideEnd) -> StudyFacts:
    return replace(facts, verdict=action.verdict)


def _expired(facts: StudyFacts, _action: ExpireStudy) -> StudyFacts:
    return replace(facts, expired=True)


_ON_TRIALS: Mapping[type, Callable[[_Draft, Any, float], Trial]] = {
    AskTrial: _asked,
    ClaimTrial: _claimed,
    ClaimAttempt: _claimed_attempt,
    StartAttempt: _started,
    StopAttempt: _stopping,
    ConcludeAttempt: _concluded,
    TellTrial: _told,
    ReleaseAttempt: _released,
}

_ON_STUDY: Mapping[type, Callable[[StudyFacts, Any], StudyFacts]] = {
    EndSearch: _search_ended,
    DecideEnd: _decided,
    ExpireStudy: _expired,
}

"""What is known of a study's trials, in memory: what the database holds, and reports that are on their way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tuning_operator.engine.actions import ConcludeAttempt, TellTrial
from tuning_operator.engine.after import concluded, told
from tuning_operator.engine.facts import Attempt, Observation, Trial, Verdict
from tuning_operator.engine.tally import Tally
from tuning_operator.runtime.protocol import AttemptKey
from tuning_operator.store.records import StoredStudy


@dataclass(frozen=True)
class _Joined:
    """A trial, what a runtime saw of one of its attempts, and both together."""

    trial: Trial
    observation: Observation
    seen: Trial


class StudyMemory:
    """A study as it is stored. Whoever has written something into the database writes it here next."""

    def __init__(self, stored: StoredStudy) -> None:
        self.trials: list[Trial] = []
        self._joined: dict[AttemptKey, _Joined] = {}  # by the last look
        self._arrived = 0  # the place of the newest report in the order in which they came
        self.reload(stored)

    def reload(self, stored: StoredStudy) -> None:
        """Take what is stored for the truth; of reports, which the database may have yet to get, both."""
        self.began_at = stored.began_at
        self.search_end: Verdict | None = stored.search_end
        self.verdict: Verdict | None = stored.verdict
        self.exhausted = stored.exhausted
        self.history = Tally.of(stored.trials)
        kept = {trial.number: trial for trial in self.trials}
        # What the database has yet to get came after all that it has.
        newest = max((max(trial.arrivals.values(), default=0) for trial in stored.trials), default=0)
        self._arrived += newest
        self.trials = [
            _with_unwritten(trial, kept[trial.number], after=newest) if trial.number in kept and not trial.finished else trial
            for trial in stored.trials
        ]

    @property
    def held(self) -> int:
        """How many attempts live."""
        return sum(trial.last.live for trial in self.trials if not trial.finished)

    def seen(self, observed: Mapping[AttemptKey, Observation]) -> tuple[Trial, ...]:
        """The trials, joined with what a runtime sees of their attempts; what it sees of others is left out."""
        trials, joined = list(self.trials), {}
        for key, observation in observed.items():
            if (found := self.attempt(key.trial, key.attempt)) is None:
                continue
            before = trials[key.trial]
            known = self._joined.get(key)
            # Of a thousand that run, few have changed since the last look.
            if known is None or known.trial is not before or known.observation is not observation:
                seen = before.with_attempt(replace(found[1], observed=observation))
                known = _Joined(trial=before, observation=observation, seen=seen)
            joined[key] = known
            trials[key.trial] = known.seen
        self._joined = joined
        return tuple(trials)

    def attempt(self, trial: int, attempt: int) -> tuple[Trial, Attempt] | None:
        """A trial and one of its attempts; None when there is no such attempt."""
        if not 0 <= trial < len(self.trials) or not 0 <= attempt < len(self.trials[trial].attempts):
            return None
        return self.trials[trial], self.trials[trial].attempts[attempt]

    def conclude(self, action: ConcludeAttempt) -> None:
        """Take the end of an attempt and, where the action tells so, of its trial."""
        self._take(concluded(self.trials[action.trial], action))

    def tell(self, action: TellTrial, now: float) -> Trial:
        """Take the end of a trial. Returns it."""
        return self._take(told(self.trials[action.trial], action.tell, now))

    def _take(self, trial: Trial) -> Trial:
        if trial.finished:
            self.history += Tally.of((trial,))
        self.trials[trial.number] = trial
        return trial

    def put(self, trial: int, attempt: Attempt) -> None:
        """Replace the attempt of that number, or append it when it is the next."""
        self.trials[trial] = self.trials[trial].with_attempt(attempt)

    def change(self, trial: int, attempt: int, **fields: Any) -> None:
        """Replace fields of an attempt."""
        self.put(trial, replace(self.trials[trial].attempts[attempt], **fields))

    def add_reports(self, trial: int, reports: Mapping[int, float]) -> None:
        """Add intermediate values of the objective by step; the first value of a step stays."""
        known = self.trials[trial]
        self._arrived += 1
        arrivals = {**dict.fromkeys(reports, self._arrived), **known.arrivals}
        self.trials[trial] = replace(known, reports={**reports, **known.reports}, arrivals=arrivals)


def _with_unwritten(stored: Trial, kept: Trial, *, after: int) -> Trial:
    """The stored trial with the reports that only memory has."""
    came = {step: after + place for step, place in kept.arrivals.items()}
    return replace(stored, reports={**kept.reports, **stored.reports}, arrivals={**came, **stored.arrivals})

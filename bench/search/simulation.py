"""A study without containers and without waiting: trials end in the order of drawn durations."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tuning_operator.api.parameters import Parameters, defaults
from tuning_operator.engine.facts import Attempt, Ended, Outcome, Role, Trial, TrialState
from tuning_operator.search.problem import Exhausted, Problem, Suggestion
from tuning_operator.search.searcher import Searcher


@dataclass(frozen=True, kw_only=True)
class End:
    """How a trial ends."""

    state: TrialState = TrialState.COMPLETE
    value: float | None = None
    reports: Mapping[int, float] = field(default_factory=dict)
    outcome: Outcome = Outcome.SUCCEEDED


@dataclass(frozen=True)
class Event:
    """An entry of the event log."""

    kind: Literal["ask", "tell"]
    trial: int


@dataclass(frozen=True)
class Record:
    """A simulated study: its trials as they ended, and the order of things."""

    trials: tuple[Trial, ...]
    events: tuple[Event, ...]


Run = Callable[[int, Parameters], End]


def ended(trial: Trial, end: End, *, at: float) -> Trial:
    """The trial after its only attempt ended so, at that time."""
    seen = Ended(outcome=end.outcome, at=at, reason=end.outcome.name.capitalize())
    attempt = Attempt(number=0, generation=1, claimed_at=trial.claimed_at, ended=seen)
    return replace(trial, state=end.state, value=end.value, reports=end.reports, finished_at=at, attempts=(attempt,))


class Simulation:
    """``parallelism`` trials at once, durations log-normal (0, 0.5), one ask whenever one ends."""

    def __init__(self, searcher: Searcher, problem: Problem, run: Run, *, seed: int, baseline: int = 0) -> None:
        """Prepare a study that begins with ``baseline`` trials of the defaults, run one after the other."""
        self.searcher = searcher
        self._problem = problem
        self._run = run
        self._durations = random.Random(seed)
        self._clock = 0.0
        self._running: list[tuple[float, int]] = []
        self._trials: list[Trial] = []
        self._events: list[Event] = []
        for _ in range(baseline):
            self._claim(Role.BASELINE, Suggestion(defaults(problem.parameters)))
            self._end_next()

    async def until(self, claimed: int) -> Record:
        """Go on until this many trials are claimed or the search is exhausted; those under way stay under way."""
        while len(self._trials) < claimed:
            if len(self._running) == self._problem.parallelism:
                self._end_next()
            answer = await self.searcher.ask(self._problem, tuple(self._trials), len(self._trials))
            if isinstance(answer, Exhausted):
                break
            self._claim(Role.SEARCH, answer)
        return Record(tuple(self._trials), tuple(self._events))

    def finish(self) -> Record:
        """Let all running trials end."""
        while self._running:
            self._end_next()
        return Record(tuple(self._trials), tuple(self._events))

    def _claim(self, role: Role, suggestion: Suggestion) -> None:
        number = len(self._trials)
        trial = Trial(
            number=number,
            role=role,
            parameters=suggestion.parameters,
            seed=number,
            claimed_at=self._clock,
            attempts=(),
            sampler_state=suggestion.sampler_state,
        )
        self._trials.append(trial)
        self._events.append(Event("ask", number))
        heapq.heappush(self._running, (self._clock + self._durations.lognormvariate(0, 0.5), number))

    def _end_next(self) -> None:
        self._clock, number = heapq.heappop(self._running)
        trial = self._trials[number]
        self._trials[number] = ended(trial, self._run(number, trial.parameters), at=self._clock)
        self._events.append(Event("tell", number))

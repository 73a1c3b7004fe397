"""The search as one study asks it: left alone for a while after it gave no answer."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

from tuning_operator.controller.backoff import backoffs
from tuning_operator.engine.facts import Trial
from tuning_operator.search.problem import Exhausted, Problem, Suggestion
from tuning_operator.search.searcher import Searcher, SearchFailed
from tuning_operator.telemetry import metrics

_log = logging.getLogger(__name__)


class Asking:
    """Asks, and remembers when not to."""

    def __init__(self, searcher: Searcher, *, name: str, clock: Callable[[], float]) -> None:
        """Begin free to ask.

        Args:
            searcher: answers.
            name: of the study, for people.
            clock: seconds since the epoch.
        """
        self.trouble = ""  # why the search does not go on, for people; empty when it does
        self._searcher = searcher
        self._name = name
        self._clock = clock
        self._pauses = backoffs()
        self._again_at = -math.inf

    @property
    def paused_until(self) -> float | None:
        """Until when not to ask, seconds since the epoch; None when it is free to."""
        return None if self._clock() >= self._again_at else self._again_at

    async def ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted | None:
        """As `Searcher.ask`; None when there is no answer: then ask again later, and look after what runs meanwhile."""
        try:
            with metrics.ASK.labels(problem.sampler).time():
                answer = await self._searcher.ask(problem, trials, number)
        except SearchFailed as error:
            pause = next(self._pauses)
            self._again_at = self._clock() + pause
            self.trouble = f"the search gave no answer: {error}"
            _log.warning("%s: %s; asking again in %.0f s", self._name, self.trouble, pause)
            return None
        self._pauses, self.trouble = backoffs(), ""
        return answer

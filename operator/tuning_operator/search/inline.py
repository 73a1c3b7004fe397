"""Search in this very process: for simulations, benchmarks, replays and tests. Imports optuna when asked."""

from __future__ import annotations

from collections.abc import Sequence

from tuning_operator.engine.facts import Trial
from tuning_operator.search import without_history
from tuning_operator.search.blocks import BlockRequest, Blocks
from tuning_operator.search.history import Ledger, NeedHistory
from tuning_operator.search.problem import Exhausted, Problem, Suggestion
from tuning_operator.search.worker import Worker, block


class InlineSearcher:
    """The same answers as `SearchPool`, in the caller's thread."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._blocks = Blocks()
        self._worker = Worker()

    async def ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        """See `Searcher.ask`; the event loop waits."""
        return self.ask_now(problem, trials, number)

    def ask_now(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        """See `Searcher.ask`."""
        known = without_history.answer(problem, trials, number, self._blocks)
        if isinstance(known, BlockRequest):
            return self._blocks.take(known, block(known))
        return known or self._from_history(problem, trials, number)

    def _from_history(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        request = self._ledger.request(problem, trials, number)
        answer = self._worker.answer(request)
        if isinstance(answer, NeedHistory):
            request = self._ledger.request(problem, trials, number, whole=True)
            answer = self._worker.answer(request)
        assert not isinstance(answer, NeedHistory), "a whole history needs none"
        if isinstance(answer, Suggestion):
            self._ledger.answered(request, answer)
        return answer

    async def close(self) -> None:
        """Forget everything."""
        self._ledger, self._blocks, self._worker = Ledger(), Blocks(), Worker()

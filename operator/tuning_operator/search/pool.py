"""Search in processes of its own: what asks cost never blocks the event loop, and a crash there is only a slow ask.

A process is a cache. Each study is pinned to one by its key, so its history is held once; a process that died is
replaced and fed from the history that the question brings along.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Trial
from tuning_operator.engine.seeds import derive_seed
from tuning_operator.search import without_history, worker
from tuning_operator.search.blocks import BlockRequest, Blocks
from tuning_operator.search.history import Ledger, NeedHistory
from tuning_operator.search.problem import Exhausted, Problem, Suggestion
from tuning_operator.search.searcher import SearchFailed

_MOST_PROCESSES: Final = 4
_Q = TypeVar("_Q")
_T = TypeVar("_T")

_TRIES: Final = 3  # a question that kills so many processes is the culprit


class SearchPool:
    """A `Searcher` over a few processes, each started at its first question."""

    def __init__(self, *, processes: int | None = None) -> None:
        """Make a pool of at most ``processes`` processes; by default one for each usable core, up to four."""
        count = processes or min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
        self._members = [_Member() for _ in range(count)]
        self._blocks = Blocks()

    async def ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        """See `Searcher.ask`."""
        known = without_history.answer(problem, trials, number, self._blocks)
        if isinstance(known, BlockRequest):
            return self._blocks.take(known, await self._member(problem).block(known))
        return known or await self._member(problem).ask(problem, trials, number)

    def _member(self, problem: Problem) -> _Member:
        return self._members[derive_seed(0, problem.key) % len(self._members)]

    async def close(self) -> None:
        """End the processes, each after the question that it is answering."""
        await asyncio.gather(*(asyncio.to_thread(member.close, wait=True) for member in self._members))


class _Member:
    """One process, its replacements, and what it knows of which study."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._executor = _one_process()
        self._turn = asyncio.Lock()

    async def ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        """The next configuration of a sampler that reads the history."""
        what = f"trial {number} (sampler {problem.sampler}, {len(trials)} trials before it)"
        return await self._surviving(partial(self._ask, problem, trials, number), what=what)

    async def block(self, request: BlockRequest) -> tuple[Parameters, ...]:
        """A block of a sequence."""
        what = f"configuration {request.first} (sampler {request.problem.sampler})"
        return await self._surviving(partial(self._call, worker.block, request), what=what)

    async def _surviving(self, question: Callable[[], Awaitable[_T]], *, what: str) -> _T:
        # One at a time: then a death concerns one question only.
        async with self._turn:
            for _ in range(_TRIES):
                try:
                    return await question()
                except BrokenProcessPool:
                    self.close(wait=False)
                    self._executor = _one_process()
        raise SearchFailed(
            f"the search process died {_TRIES} times over {what}; most likely it ran out of memory: raise the operator's memory "
            "limit or choose sampler tpe or random"
        )

    async def _ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        request = self._ledger.request(problem, trials, number)
        answer = await self._call(worker.answer, request)
        if isinstance(answer, NeedHistory):
            request = self._ledger.request(problem, trials, number, whole=True)
            answer = await self._call(worker.answer, request)
        assert not isinstance(answer, NeedHistory), "a whole history needs none"
        if isinstance(answer, Suggestion):
            self._ledger.answered(request, answer)
        return answer

    async def _call(self, function: Callable[[_Q], _T], question: _Q) -> _T:
        with _interrupts_held():
            future = self._executor.submit(function, question)
        return await asyncio.wrap_future(future)

    def close(self, *, wait: bool) -> None:
        self._executor.shutdown(wait=wait, cancel_futures=True)


def _one_process() -> ProcessPoolExecutor:
    # spawn: the main process has threads and an event loop, which a fork would copy in any state.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=worker.prepare)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back from processes started meanwhile: they inherit the mask. Ctrl-C belongs to the main process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

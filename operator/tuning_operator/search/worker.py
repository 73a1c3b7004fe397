"""Answers questions about the next configuration: the inside of a search process.

The main process imports this module too, to name what runs in the other one. So optuna, scipy and torch come in where
they are used.
"""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process
from typing import TYPE_CHECKING

from tuning_operator.api.parameters import Parameters
from tuning_operator.search import grid
from tuning_operator.search.blocks import BLOCK, BlockRequest
from tuning_operator.search.history import Answer, Feed, NeedHistory, Request
from tuning_operator.search.problem import Problem, Suggestion
from tuning_operator.search.recent import Recent
from tuning_operator.search.searcher import SearchFailed

if TYPE_CHECKING:
    from tuning_operator.search.view import View

_VIEWS = 32  # studies kept in memory: about 3 KiB for each of their trials


class Worker:
    """A cache of views, one for each study asked about lately."""

    def __init__(self) -> None:
        self._views: Recent[str, tuple[int, View]] = Recent(_VIEWS)

    def answer(self, request: Request) -> Answer:
        """The answer to one question.

        Raises:
            SearchFailed: the sampler raised. The view is dropped, so the next question finds NeedHistory.
        """
        try:
            return self._answer(request)
        except Exception as error:
            self._views.discard(request.problem.key)
            raise _failed(request.problem, f"at trial {request.number}", error) from error

    def _answer(self, request: Request) -> Answer:
        view = self._view(request.problem, request.feed)
        if view is None:
            return NeedHistory()
        view.feed(request.feed.evaluations)
        answer = view.ask(request.number)
        if isinstance(answer, Suggestion):
            self._views[request.problem.key] = (request.feed.version, view)
        else:
            self._views.discard(request.problem.key)
        return answer

    def _view(self, problem: Problem, feed: Feed) -> View | None:
        if feed.base is None:
            from tuning_operator.search.view import View  # noqa: PLC0415 - optuna stays out of the main process

            return View(problem)
        version, view = self._views.get(problem.key) or (None, None)
        return view if version == feed.base else None


def block(request: BlockRequest) -> tuple[Parameters, ...]:
    """The configurations of a block; fewer when the sequence ends in it.

    Raises:
        SearchFailed: the grid is too large.
    """
    try:
        return _sequence(request.problem, request.first)
    except Exception as error:
        raise _failed(request.problem, f"at configuration {request.first}", error) from error


def _sequence(problem: Problem, first: int) -> tuple[Parameters, ...]:
    if problem.sampler == "grid":
        return grid.block(problem, first, BLOCK)
    from tuning_operator.search import qmc  # noqa: PLC0415 - scipy stays out of the main process

    return qmc.block(problem, first, BLOCK)


def _failed(problem: Problem, where: str, error: Exception) -> SearchFailed:
    return SearchFailed(f"sampler {problem.sampler} failed {where}: {type(error).__name__}: {error}")


_worker = Worker()


def answer(request: Request) -> Answer:
    """`Worker.answer` of this process."""
    return _worker.answer(request)


def prepare() -> None:
    """Make a fresh search process one that computes on one thread and dies with its parent."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    threading.Thread(target=_die_with_parent, name="die-with-parent", daemon=True).start()


def _die_with_parent() -> None:
    # The queue that the process waits on never ends by itself: its own writing end is open in this process too.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

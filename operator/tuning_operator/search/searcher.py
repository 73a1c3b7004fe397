"""The seam between a study and its search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tuning_operator.engine.facts import Trial
from tuning_operator.search.problem import Exhausted, Problem, Suggestion


class SearchFailed(Exception):  # noqa: N818 - an outcome of asking, named like one
    """No suggestion could be made. The text names the cause; asking again later is safe."""


class Searcher(Protocol):
    """Answers with the next configuration of a study."""

    async def ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        """The parameters of search trial ``number``.

        The answer is a function of the problem, of ``number`` and of the trials, running ones included: the same
        question has the same answer on every machine with the same versions of Optuna, PyTorch and SciPy.

        Args:
            problem: the study's.
            trials: all trials 0 .. number - 1, those of the baseline included, at their positions; unchanged until the
                answer is there.
            number: the number that the new trial will have.

        Raises:
            SearchFailed: the sampler raised, or its process died again and again.
            ValueError: ``trials`` are not those before ``number``.
        """
        ...

    async def close(self) -> None:
        """Let go of processes and memory. Asking afterwards is an error."""
        ...

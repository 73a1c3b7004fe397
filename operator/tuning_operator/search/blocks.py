"""Samplers that go through a sequence: the answer depends on how many search trials there are before, and on nothing else.

So answers come in blocks, and a search process is asked once for many trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Role, Trial
from tuning_operator.search.problem import Exhausted, Problem, Suggestion
from tuning_operator.search.recent import Recent

SEQUENCES: Final = frozenset({"grid", "qmc"})
"""Samplers that answer by the place in their sequence."""

BLOCK: Final = 64
"""Configurations in a block: making a Sobol' sequence takes as long as drawing some hundred points from it."""

_REMEMBERED: Final = 256  # studies, each with a block of some 30 KiB; forgetting one costs a question to a search process


@dataclass(frozen=True, kw_only=True)
class BlockRequest:
    """Asks a worker for `BLOCK` configurations from a place of the study's sequence on."""

    problem: Problem
    first: int


@dataclass(frozen=True, kw_only=True)
class _Block:
    problem: Problem
    first: int
    configurations: tuple[Parameters, ...]  # with fewer than `BLOCK` the sequence ends behind them

    def answers(self, problem: Problem, index: int) -> bool:
        return self.problem == problem and 0 <= index - self.first < BLOCK

    def at(self, index: int) -> Suggestion | Exhausted:
        place = index - self.first
        return Suggestion(self.configurations[place]) if place < len(self.configurations) else Exhausted()


class Blocks:
    """Remembers for each study one block of its sequence, and how many of its trials are search trials."""

    def __init__(self) -> None:
        self._blocks: Recent[str, _Block] = Recent(_REMEMBERED)
        self._counts: Recent[str, tuple[int, int]] = Recent(_REMEMBERED)

    def look(self, problem: Problem, trials: Sequence[Trial]) -> Suggestion | Exhausted | BlockRequest:
        """The answer after these trials of the study, or what to ask a worker for and to `take` from it."""
        index = self._index(problem, trials) - len(problem.seed_trials)
        block = self._blocks.get(problem.key)
        if block is not None and block.answers(problem, index):
            return block.at(index)
        return BlockRequest(problem=problem, first=index)

    def take(self, request: BlockRequest, configurations: tuple[Parameters, ...]) -> Suggestion | Exhausted:
        """Remember what a worker answered. Returns the first answer in it."""
        block = _Block(problem=request.problem, first=request.first, configurations=configurations)
        self._blocks[request.problem.key] = block
        return block.at(request.first)

    def _index(self, problem: Problem, trials: Sequence[Trial]) -> int:
        """How many of these are search trials. A trial of a study keeps its role, so each is looked at once."""
        counted, index = self._counts.get(problem.key) or (0, 0)
        if counted > len(trials):
            counted, index = 0, 0
        index += sum(trial.role is Role.SEARCH for trial in trials[counted:])
        self._counts[problem.key] = (len(trials), index)
        return index

"""What is answered without a look at the results of trials: the same way wherever the search runs."""

from __future__ import annotations

from collections.abc import Sequence

from tuning_operator.engine.facts import Trial
from tuning_operator.search import distinct, random_search, seeded
from tuning_operator.search.blocks import SEQUENCES, BlockRequest, Blocks
from tuning_operator.search.history import require_history
from tuning_operator.search.problem import Exhausted, Problem, Suggestion


def answer(
    problem: Problem, trials: Sequence[Trial], number: int, blocks: Blocks
) -> Suggestion | Exhausted | BlockRequest | None:
    """The next configuration, or the block that it is in and that ``blocks`` does not hold; None for samplers with a model.

    Raises:
        ValueError: ``trials`` are not those before ``number``.
    """
    require_history(trials, number)
    wished = seeded.seed_trial(problem, trials)
    if wished is not None:
        return wished
    if problem.sampler == "random":
        return random_search.suggest(problem, number, distinct.tried(problem, trials))
    return blocks.look(problem, trials) if problem.sampler in SEQUENCES else None

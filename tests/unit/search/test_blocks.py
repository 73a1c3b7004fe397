"""Sequences: answers come in blocks, and are those of one trial after the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.search.runs import trial
from tests.unit.search.spaces import COUNTABLE, EVERYTHING, problem

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Role, Trial
from tuning_operator.search import qmc
from tuning_operator.search.blocks import BLOCK, BlockRequest, Blocks
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Exhausted, Suggestion

STUDY = problem(EVERYTHING, sampler="qmc")
BASELINE = trial(0, {}, role=Role.BASELINE)


def numbered(count: int) -> tuple[Parameters, ...]:
    return tuple({"place": place} for place in range(count))


def searches(count: int) -> list[Trial]:
    return [trial(number, {}) for number in range(count)]


@pytest.mark.parametrize("first", [0, 1, 2, 63, 64, 100])
def test_a_block_of_a_quasi_random_sequence_is_its_points_one_by_one(first: int) -> None:
    one_by_one = [qmc.block(STUDY, first + place, 1)[0] for place in range(BLOCK)]
    assert list(qmc.block(STUDY, first, BLOCK)) == one_by_one


def test_a_worker_is_asked_once_for_all_places_of_a_block() -> None:
    blocks = Blocks()
    wanted = blocks.look(STUDY, searches(3))
    assert wanted == BlockRequest(problem=STUDY, first=3)
    assert isinstance(wanted, BlockRequest)
    assert blocks.take(wanted, numbered(BLOCK)) == Suggestion({"place": 0})
    assert blocks.look(STUDY, searches(3 + BLOCK - 1)) == Suggestion({"place": BLOCK - 1})
    assert blocks.look(STUDY, searches(3 + BLOCK)) == BlockRequest(problem=STUDY, first=3 + BLOCK)
    assert blocks.look(STUDY, searches(2)) == BlockRequest(problem=STUDY, first=2)


def test_the_sequence_is_exhausted_behind_a_short_block() -> None:
    blocks = Blocks()
    assert blocks.take(BlockRequest(problem=STUDY, first=0), numbered(2)) == Suggestion({"place": 0})
    assert blocks.look(STUDY, searches(1)) == Suggestion({"place": 1})
    assert blocks.look(STUDY, searches(2)) == Exhausted()
    assert blocks.take(BlockRequest(problem=STUDY, first=2), ()) == Exhausted()


def test_the_place_in_the_sequence_is_the_number_of_search_trials_before() -> None:
    blocks = Blocks()
    trials = [BASELINE, trial(1, {}), replace(BASELINE, number=2)]
    for count, first in ((1, 0), (2, 1), (3, 1), (1, 0)):
        assert blocks.look(STUDY, trials[:count]) == BlockRequest(problem=STUDY, first=first)


def test_a_changed_study_gets_blocks_of_its_own() -> None:
    blocks, changed = Blocks(), replace(STUDY, seed=8)
    blocks.take(BlockRequest(problem=STUDY, first=0), numbered(BLOCK))
    assert blocks.look(changed, []) == BlockRequest(problem=changed, first=0)


def test_a_grid_is_answered_to_its_end_across_blocks() -> None:
    asked, searcher, trials = replace(problem(COUNTABLE, sampler="grid"), grid_points=50), InlineSearcher(), list[Trial]()
    while isinstance(answer := searcher.ask_now(asked, trials, len(trials)), Suggestion):
        trials.append(trial(len(trials), answer.parameters))
    assert answer == Exhausted()
    assert len({tuple(sorted(one.parameters.items())) for one in trials}) == len(trials) == 18

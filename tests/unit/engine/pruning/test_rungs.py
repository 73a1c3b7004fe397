"""Successive halving, in the order in which reports come, in one bracket and in several."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.pruning.curves import Report, curve, pruned, reported, study

from tuning_operator.engine.facts import StudyFacts
from tuning_operator.engine.policies.pruning.hyperband import bracket_of, bracket_sizes
from tuning_operator.engine.policies.pruning.rungs import rungs

ASHA = {"pruner": "asha", "minResource": 3, "maxResource": 27, "reductionFactor": 3}


def running(count: int, **pruning: object) -> StudyFacts:
    return study({**ASHA, **pruning}, running=[{}] * count)


@pytest.mark.parametrize(
    ("reports", "hopeless"),
    [
        pytest.param([(0, 3, 0.1), (1, 3, 0.2)], [], id="go on while there are fewer than 3"),
        pytest.param([(0, 3, 0.1), (1, 3, 0.2), (2, 3, 0.3)], [], id="go on as the best of 3"),
        pytest.param([(0, 3, 0.3), (1, 3, 0.2), (2, 3, 0.1)], [2], id="stop as the third of 3"),
        pytest.param([(0, 3, 0.3), (1, 3, 0.2), (2, 3, 0.25)], [2], id="stop as the second of 3"),
        pytest.param(
            [(number, 3, value) for number, value in enumerate([0.5, 0.4, 0.1, 0.1, 0.1, 0.45])],
            [2, 3, 4],
            id="go on as the second of 6, those that stopped counted",
        ),
        pytest.param([(0, 2, 0.3), (1, 2, 0.2), (2, 2, 0.1)], [], id="go on below the rung"),
        pytest.param([(0, 3, 0.3), (1, 4, 0.2), (2, 5, 0.1)], [2], id="are judged at the first report beyond the rung"),
        pytest.param([(0, 3, 0.1), (1, 3, 0.2), (2, 3, 0.3), (0, 8, 0.1)], [], id="are judged once at a rung, as they came"),
        pytest.param([(2, 3, 0.1), (1, 3, 0.2), (0, 3, 0.3)], [], id="came in another order than their numbers"),
        pytest.param([(0, 3, 0.3), (1, 3, 0.3), (2, 3, 0.3)], [2], id="are equal: the smaller number is better"),
        pytest.param([(2, 3, 0.3), (1, 3, 0.3), (0, 3, 0.3)], [], id="are equal, and the smallest number comes last"),
        pytest.param([(0, 3, 0.3), (1, 3, 0.2), (2, 1, 0.9), (2, 3, 0.1)], [], id="count the best report until then"),
        pytest.param([(0, 3, 0.3), (1, 3, 0.2), (2, 3, math.nan)], [2], id="have no number to show at the rung"),
        pytest.param(
            [(number, step, 0.3 - number / 10) for number in range(3) for step in (9,)],
            [2],
            id="come to the second rung with their first report",
        ),
        pytest.param([(0, 27, 0.3), (1, 27, 0.2), (2, 27, 0.1)], [2], id="reported nothing until their end"),
    ],
)
def test_three_running_trials(reports: list[Report], hopeless: list[int]) -> None:
    assert pruned(reported(running(6), reports)) == hopeless


def test_a_trial_that_passed_a_rung_is_judged_anew_at_the_next_one() -> None:
    reports = [(number, step, 0.3 - number / 10) for step in (3, 9) for number in (2, 1, 0)]
    passed = reported(running(3), reports[:3])
    assert pruned(passed) == []
    second = [(0, 9, 0.3), (1, 9, 0.2), (2, 9, 0.1)]
    assert pruned(reported(passed, second)) == [2]


def test_of_losses_the_small_ones_go_on() -> None:
    facts = study(ASHA, running=[curve(0.1, first=3), curve(0.2, first=3), curve(0.3, first=3)], direction="minimize")
    assert pruned(facts) == [2]


def test_the_first_rung_is_a_ninth_of_a_training_by_default() -> None:
    three = [(number, step, 0.3 - number / 10) for step in (3, 4) for number in range(3)]
    facts = study({"pruner": "asha", "maxResource": 30}, running=[{}] * 3)
    assert pruned(reported(facts, three[:3])) == []
    assert pruned(reported(facts, three)) == [2]


def test_of_several_folds_the_first_one_is_halved() -> None:
    second = [(number, 1_000_003, 0.3 - number / 10) for number in range(3)]
    facts = study(ASHA, running=[{}] * 3, validation={"folds": 2})
    assert pruned(reported(facts, second)) == []
    assert pruned(reported(facts, [(2, 3, 0.3), (1, 3, 0.2), (0, 3, 0.1), *second])) == [0]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 12), st.sampled_from([0.1, 0.2, 0.3, math.nan])), max_size=40),
    st.sampled_from([{"minResource": 1, "reductionFactor": 2}, {"pruner": "hyperband", "minResource": 1}]),
)
def test_looking_after_every_report_and_looking_once_at_the_end_stop_the_same(
    drawn: list[Report], pruning: dict[str, object]
) -> None:
    steps: Counter[int] = Counter()
    reports = []
    for number, further, value in drawn:
        steps[number] += further + 1  # a trial's steps rise
        reports.append((number, steps[number], value))
    facts = running(8, **pruning)
    each: set[int] = set()
    for end in range(len(reports) + 1):
        each |= set(pruned(reported(facts, reports[:end])))
    assert set(pruned(reported(facts, reports))) == each


@pytest.mark.parametrize(
    ("first", "end", "factor", "steps"),
    [(3, 27, 3, (3, 9)), (1, 27, 3, (1, 3, 9)), (4, 27, 2, (4, 8, 16)), (27, 27, 3, ()), (1, 1, 3, ())],
)
def test_rungs_are_below_the_end_of_a_training(first: int, end: int, factor: int, steps: tuple[int, ...]) -> None:
    assert rungs(first, end, factor) == steps


def test_hyperband_s_brackets_have_the_sizes_of_its_paper() -> None:
    # Li et al. 2018, table 1: R = 81, eta = 3.
    assert bracket_sizes(1, 81, 3) == (81, 34, 15, 8, 5)
    assert bracket_sizes(9, 81, 3) == (9, 5, 3)
    assert bracket_sizes(5, 5, 3) == (1,)


def test_a_trial_s_number_says_its_bracket() -> None:
    turn = [bracket_of(number, (9, 5, 3)) for number in range(17)]
    assert turn == [0] * 9 + [1] * 5 + [2] * 3
    assert [bracket_of(number, (9, 5, 3)) for number in range(17, 34)] == turn


def test_hyperband_compares_trials_of_one_bracket_alone() -> None:
    facts = study({**ASHA, "pruner": "hyperband"}, running=[{}] * 17)
    falling = [(number, 3, 1 - number / 100) for number in range(17)]
    assert set(pruned(reported(facts, falling))) == set(range(2, 9)), "the first rung of the others is later, or there is none"
    later = [(number, 9, 1 - number / 100) for number in range(9, 17)]
    assert set(pruned(reported(facts, later))) == {11, 12, 13}, "bracket 1 has its rung at 9, and bracket 2 has none"

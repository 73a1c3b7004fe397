"""The course of a search, however its trials' ends come to be known, and the figures that are taken from it."""

from __future__ import annotations

import math
from functools import reduce
from itertools import accumulate
from operator import add
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_operator.api.study import Direction
from tuning_operator.engine.curve import Curve, End, Point
from tuning_operator.engine.policies.stopping import gain, since_improvement

ENDS = st.lists(
    st.builds(
        End,
        at=st.floats(0, 100),
        number=st.integers(0, 10_000),
        hours=st.floats(0, 1e6),
        value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    ),
    unique_by=lambda end: end.number,
)
LARGEST: Final = 1.7e308


def course(values: list[float | None], *, hours: float = 1.0) -> tuple[Point, ...]:
    """Trials of equal cost, one after the other."""
    ends = (End(at=number, number=number, hours=hours, value=value) for number, value in enumerate(values))
    return Curve.of(ends).points


@given(ends=ENDS, data=st.data())
def test_a_course_is_the_same_in_whatever_order_and_portions_its_ends_become_known(ends: list[End], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(ends))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ends)), max_size=4)))
    portions = [shuffled[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(ends)], strict=True)]
    points = reduce(add, map(Curve.of, portions)).points
    assert points == Curve.of(ends).points
    assert [point.end for point in points] == sorted(ends)
    assert [point.hours for point in points] == list(accumulate((end.hours for end in sorted(ends)), initial=0.0))[1:]


@pytest.mark.parametrize(
    ("values", "min_delta", "since"),
    [
        pytest.param([], 0, 0, id="no trial has ended"),
        pytest.param([None, None], 0, 0, id="none gave a value"),
        pytest.param([None, 1.0], 0, 0, id="the newest gave the first value"),
        pytest.param([1.0, None, 0.5], 0, 2, id="failed ones and worse ones since the best"),
        pytest.param([1.0, 1.0, 1.0], 0, 2, id="an equal value is no improvement"),
        pytest.param([0.0, 1.0, 1.25], 0.5, 1, id="improved by less"),
        pytest.param([0.0, 1.0, 1.25, 1.5], 0.5, 2, id="improved by as much, step by step"),
        pytest.param([0.0, 1.0, 1.25, 1.75], 0.5, 1, id="improved by more, step by step"),
        pytest.param([-LARGEST, LARGEST], 1.0, 0, id="improved by more than a number can say"),
    ],
)
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_trials_without_an_improvement_are_counted(
    values: list[float | None], min_delta: float, since: int, direction: Direction
) -> None:
    turned = values if direction == "maximize" else [None if value is None else -value for value in values]
    assert since_improvement(course(turned), direction, min_delta=min_delta) == since


@given(values=st.lists(st.none() | st.floats(-1e6, 1e6)), min_delta=st.floats(0, 1e6))
def test_counting_backwards_finds_the_same(values: list[float | None], min_delta: float) -> None:
    points = course(values)
    best = [point.highest for point in points]
    together = [back for back in range(len(best)) if best[-1 - back] >= best[-1] - min_delta > -math.inf]
    assert since_improvement(points, "maximize", min_delta=min_delta) == max(together, default=0)


RISING: Final[list[float | None]] = [float(number) for number in range(60)]
STILL: Final[list[float | None]] = [5.0, *[float(number % 4) for number in range(59)]]


def test_while_the_best_keeps_improving_the_gain_is_the_slope_of_the_window() -> None:
    found = gain(course(RISING, hours=0.5), "maximize", window=0)
    assert found is not None
    assert (found.window, found.improvement, found.per_hour) == pytest.approx((15, 30, 2))


def test_in_a_lull_the_gain_is_what_the_newest_values_make_likely() -> None:
    found = gain(course(STILL, hours=0.5), "maximize", window=0)
    assert found is not None
    # Of the last 20 values, five are 3, five 2: u = 2 and m = 1; the best is 5.
    likely = math.log1p(20 * 5 / 20 * math.exp(-3.0)) / (20 * 0.5)
    assert (found.improvement, found.per_hour) == pytest.approx((0, likely))


def test_trials_without_a_value_make_a_further_gain_less_likely() -> None:
    halved = [value if place % 2 else None for place, value in enumerate([v for v in STILL for _ in range(2)])]
    found = gain(course(halved, hours=0.5), "maximize", window=0)
    assert found is not None
    assert found.per_hour == pytest.approx(math.log1p(20 * 5 / 39 * math.exp(-3.0)) / (20 * 0.5))


def test_the_gain_is_the_same_when_a_loss_is_minimized() -> None:
    for values in (RISING, STILL):
        losses = [None if value is None else -value for value in values]
        assert gain(course(losses), "minimize", window=35) == gain(course(values), "maximize", window=35)


def test_what_all_trials_cost_alike_changes_the_gain_of_an_hour_only() -> None:
    short, long = (gain(course(STILL, hours=hours), "maximize", window=0) for hours in (1.0, 4.0))
    assert short is not None
    assert long is not None
    assert (long.per_hour, long.window) == pytest.approx((short.per_hour / 4, short.window * 4))


@pytest.mark.parametrize(
    ("points", "window"),
    [
        pytest.param((), 0, id="no trial has ended"),
        pytest.param(course([None] * 60), 0, id="none gave a value"),
        pytest.param(course([*[None] * 30, *RISING[:30]]), 0, id="the first value lies within the window"),
        pytest.param(course(RISING[:29]), 0, id="there are fewer trials than the window spans at least"),
        pytest.param(course(RISING), 60, id="it has not cost as much as the window that is asked for"),
        pytest.param(course([1.0, *[None] * 40, *RISING[:4]]), 0, id="five values tell nothing of the sixth"),
        pytest.param(course(RISING, hours=0), 0, id="it has cost nothing"),
        pytest.param(course([*[-LARGEST] * 20, *[LARGEST] * 20]), 0, id="the improvement is more than a number can say"),
        pytest.param(course([*[LARGEST] * 20, *[-LARGEST, -LARGEST, -LARGEST, LARGEST] * 10]), 0, id="so is the scale"),
    ],
)
def test_no_gain_is_known_while(points: tuple[Point, ...], window: float) -> None:
    assert gain(points, "maximize", window=window) is None


@given(ends=ENDS, window=st.floats(0, 1e6))
def test_a_gain_that_is_known_is_finite_and_not_below_zero(ends: list[End], window: float) -> None:
    found = gain(Curve.of(ends).points, "maximize", window=window)
    assert found is None or (math.isfinite(found.per_hour) and found.per_hour >= 0 and found.window >= window)

"""Which reports of a trial are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tuning_operator.controller.thinning import EVERY_ONE, thinned
from tuning_operator.gateway.desk import Point


def kept_of(steps: range) -> list[int]:
    """The steps kept of a trial that reports these one by one."""
    known: dict[int, float] = {}
    last = -1
    for step in steps:
        for point in thinned([Point(step, 0.5)], known=known, count=len(known), last=last):
            known[point.step] = point.value
            last = max(last, point.step)
    return list(known)


def test_a_trial_that_reports_its_epochs_keeps_them_all() -> None:
    assert kept_of(range(EVERY_ONE)) == list(range(EVERY_ONE))


def test_a_trial_that_reports_every_batch_keeps_few_and_its_progress() -> None:
    steps = kept_of(range(200_000))
    assert len(steps) < EVERY_ONE + 4_000
    assert steps[-1] >= 199_000 * 0.998


def test_of_each_fold_the_first_steps_are_kept_as_close_together_as_of_the_first_one() -> None:
    known = dict.fromkeys(range(EVERY_ONE), 0.5)
    fold = 1_000_000
    steps = [4 * fold + step for step in range(800)]
    kept = [p.step for p in thinned([Point(s, 0.5) for s in steps], known=known, count=len(known), last=3 * fold, fold=fold)]
    assert kept == steps
    assert len(list(thinned([Point(s, 0.5) for s in steps], known=known, count=len(known), last=3 * fold))) == 1


def test_a_point_that_is_known_is_passed_on_and_may_be_told_again() -> None:
    known = dict.fromkeys(range(EVERY_ONE), 0.5)
    again = Point(3, 0.5)
    assert list(thinned([again], known=known, count=len(known), last=EVERY_ONE - 1)) == [again]


@given(sizes=st.lists(st.integers(1, 40), max_size=30))
def test_one_body_of_many_points_keeps_what_many_bodies_keep(sizes: list[int]) -> None:
    total = sum(sizes)
    steps = [EVERY_ONE + 7 * step for step in range(total)]
    known = dict.fromkeys(range(EVERY_ONE), 0.5)
    whole = [p.step for p in thinned([Point(s, 0.5) for s in steps], known=known, count=len(known), last=EVERY_ONE - 1)]
    one_by_one, seen, last = [], dict(known), EVERY_ONE - 1
    for step in steps:
        for point in thinned([Point(step, 0.5)], known=seen, count=len(seen), last=last):
            one_by_one.append(point.step)
            seen[point.step], last = 0.5, max(last, point.step)
    assert whole == one_by_one

"""How many of a trial's reports are kept: one that reports every batch must not slow all studies down. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final

from tuning_operator.api.pruning import LARGEST_STEP
from tuning_operator.gateway.desk import Point

EVERY_ONE: Final = 5_000
"""So many steps of a trial are kept, whatever they are."""

_SHARE: Final = 1_000


def thinned(
    points: Iterable[Point], *, known: Container[int], count: int, last: int, fold: int = LARGEST_STEP + 1
) -> Iterator[Point]:
    """The points to keep: beyond `EVERY_ONE` only those that are a thousandth further on than the last one.

    So at most about 18,000 are kept of two billion, and the last step, by which progress is judged, is right to a
    thousandth.

    Args:
        points: new ones, oldest first.
        known: steps that are kept already; such a point is passed on, and changes nothing.
        count: how many these are.
        last: the largest of them, -1 for none.
        fold: steps of a fold of a cross-validation, each of which counts from 0; without folds all steps are of one.
    """
    for point in points:
        if count < EVERY_ONE or point.step in known or point.step - last > last % fold // _SHARE:
            yield point
            count, last = count + 1, max(last, point.step)

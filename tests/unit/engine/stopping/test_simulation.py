"""What the rules are worth, on searches that are made: how they compare, not how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Final

import pytest
from tests.unit.engine.stopping.searches import PROBLEMS, TRIALS, Search, search

from tuning_operator.engine.curve import Point
from tuning_operator.engine.policies.stopping import NARROWEST, gain, since_improvement

Rule = Callable[[Sequence[Point], float], bool]
"""Whether a search ends here, at that price of an hour."""

SHARES: Final = (0.1, 0.3, 1.0)
"""What the whole search costs, of what is still to be gained after its first trials."""


def plateau(points: Sequence[Point], price: float, *, patience: int) -> bool:
    """Patience trials have brought less than they cost."""
    if len(points) <= patience:
        return False
    cost = price * (points[-1].hours - points[-1 - patience].hours)
    return since_improvement(points, "maximize", min_delta=cost) >= patience


def marginal_gain(points: Sequence[Point], price: float) -> bool:
    found = gain(points, "maximize", window=0) if len(points) > NARROWEST else None
    return found is not None and found.per_hour < price


RULES: Final[Mapping[str, Rule]] = {
    "marginal gain": marginal_gain,
    "plateau of 30": partial(plateau, patience=30),
    "plateau of 20": partial(plateau, patience=20),
    "plateau of 10": partial(plateau, patience=10),
}


@pytest.fixture(scope="module")
def searches() -> Sequence[Search]:
    return [search(name, seed=seed, noisy=noisy) for name in PROBLEMS for noisy in (False, True) for seed in range(10)]


def stops(searches: Sequence[Search], rule: Rule, share: float) -> list[tuple[Search, int]]:
    def stop(searched: Search) -> int:
        price = searched.price(share)
        return searched.stop(lambda points: rule(points, price))

    return [(each, stop(each)) for each in searches]


@pytest.mark.parametrize("share", SHARES)
def test_marginal_gain_forfeits_least_and_the_shorter_a_plateau_the_more(searches: Sequence[Search], share: float) -> None:
    forfeited = [fmean(each.forfeited(ended) for each, ended in stops(searches, rule, share)) for rule in RULES.values()]
    assert forfeited == sorted(forfeited)
    assert forfeited[0] < 0.25
    assert forfeited[-1] > 0.5


@pytest.mark.parametrize("share", SHARES[:2])
def test_while_time_is_cheap_marginal_gain_ends_best_and_the_shorter_a_plateau_the_worse(
    searches: Sequence[Search], share: float
) -> None:
    excess = [fmean(each.excess(ended, share) for each, ended in stops(searches, rule, share)) for rule in RULES.values()]
    assert excess == sorted(excess)


def test_when_time_is_dear_marginal_gain_ends_better_than_running_to_the_end(searches: Sequence[Search]) -> None:
    ended = fmean(each.excess(number, 1.0) for each, number in stops(searches, marginal_gain, 1.0))
    assert ended < 0.75 * fmean(each.excess(TRIALS, 1.0) for each in searches)


def test_the_dearer_time_is_the_earlier_marginal_gain_ends_a_search(searches: Sequence[Search]) -> None:
    used = [fmean(ended for _, ended in stops(searches, marginal_gain, share)) for share in SHARES]
    assert TRIALS > used[0] > used[1] > used[2] > TRIALS / 3

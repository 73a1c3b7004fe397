"""Searches that are made: problems with and without noise, a sampler that learns, no sleeping."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tuning_operator.engine.curve import Curve, End, Point

TRIALS: Final = 150
FIRST: Final = 20
"""Nobody stops before so many, and what is found in them is left out of account."""

Place = tuple[float, ...]
Problem = Callable[[Place], float]
"""Its optimum is 0, everything else below."""


def bowl(place: Place) -> float:
    """Smooth, with one best place that is hard to hit: four dimensions of unequal weight."""
    return -sum(weight * (at - 0.3) ** 2 for weight, at in zip((8, 4, 2, 1), place, strict=True))


def ridge(place: Place) -> float:
    """Two dimensions that only together are right."""
    x, y = place
    return -(10 * (y - 0.8 * x * x) ** 2 + (x - 0.7) ** 2)


def hills(place: Place) -> float:
    """Three dimensions with many places that look best from nearby."""
    return -sum((at - 0.6) ** 2 + 0.05 * (1 - math.cos(6 * math.pi * (at - 0.6))) for at in place)


PROBLEMS: Final[dict[str, tuple[Problem, int, float]]] = {
    "bowl": (bowl, 4, 0.05),
    "ridge": (ridge, 2, 0.01),
    "hills": (hills, 3, 0.02),
}
"""By name, with their dimensions and the noise of a repeated trial."""


@dataclass(frozen=True)
class Search:
    """A search that ran to its end, so that every rule can be asked where it would have stopped."""

    points: Sequence[Point]
    regrets: Sequence[float]  # true distance of what looks best from the optimum, after each trial

    @cached_property
    def lost(self) -> float:
        """What is still to be gained after the first trials."""
        return self.regrets[FIRST - 1]

    def price(self, share: float) -> float:
        """Of an hour, if all of them together cost this share of what is still to be gained."""
        return share * self.lost / self.points[-1].hours

    def stop(self, ends: Callable[[Sequence[Point]], bool]) -> int:
        """After how many trials a rule ends it."""
        return next((ended for ended in range(FIRST, TRIALS) if ends(self.points[:ended])), TRIALS)

    def forfeited(self, ended: int) -> float:
        """Of what was to be gained, the share that the rest of the trials would have brought."""
        return (self.regrets[ended - 1] - self.regrets[-1]) / self.lost

    def excess(self, ended: int, share: float) -> float:
        """Regret and cost at the end, less that of the best end there was, in costs of the whole search."""
        bill = [regret + self.price(share) * point.hours for regret, point in zip(self.regrets, self.points, strict=True)]
        return (bill[ended - 1] - min(bill)) / (share * self.lost)


def search(name: str, *, seed: int, noisy: bool) -> Search:
    """A search of TRIALS trials, whose costs vary."""
    problem, dimensions, noise = PROBLEMS[name]
    chance = random.Random(f"{name}/{seed}/{noisy}")
    ends: list[End] = []
    regrets: list[float] = []
    best = -math.inf, math.inf  # as it looks, and its true regret
    for number, place in enumerate(_places(dimensions, chance, ends)):
        truth = problem(place)
        value = truth + chance.gauss(0, noise) * noisy
        ends.append(End(at=number, number=number, hours=chance.lognormvariate(0, 0.5), value=value))
        best = max(best, (value, -truth))
        regrets.append(best[1])
    return Search(Curve.of(ends).points, regrets)


def _places(dimensions: int, chance: random.Random, ends: Sequence[End]) -> Iterator[Place]:
    """Where to look: anywhere, or in three of four trials near one of the best so far, the later the nearer."""
    seen: list[Place] = []
    for number in range(TRIALS):
        if number >= FIRST // 2 and chance.random() < 0.75:
            ranked = sorted(range(number), key=lambda place: -(ends[place].value or 0.0))
            near, width = seen[chance.choice(ranked[:5])], 0.2 * (FIRST / (number + FIRST)) ** 0.7
            place = tuple(min(1.0, max(0.0, chance.gauss(at, width))) for at in near)
        else:
            place = tuple(chance.random() for _ in range(dimensions))
        seen.append(place)
        yield place

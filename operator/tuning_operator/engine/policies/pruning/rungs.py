"""Successive halving without waiting: at each rung a trial is judged once, by those that came there before it.

The stopping variant of ASHA (Li et al. 2020, arXiv 1810.05934; Salinas et al. 2022, Syne Tune): no trial is paused, so none
needs a checkpoint to go on from.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuning_operator.api.contract import STEPS_PER_FOLD
from tuning_operator.api.pruning import LARGEST_STEP, Pruning
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.facts import Trial
from tuning_operator.engine.policies.pruning.rule import best_until


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A trial at a rung."""

    order: tuple[int, int]  # in which it came; of the same moment the smaller number
    cost: float  # of its best report until then: smaller is better, infinite without a finite one
    trial: int


def first_rung(pruning: Pruning) -> int:
    """As the manifest says, or else the default."""
    assert pruning.max_resource is not None, "a rule of the manifest"
    return pruning.min_resource or default_first_rung(pruning.max_resource)


def default_first_rung(length: int) -> int:
    """A ninth of a full training: earlier ones stop slow starters that would win."""
    return math.ceil(length / 9)


def rungs(first: int, end: int, factor: int) -> tuple[int, ...]:
    """Steps at which trials are judged: first, first x factor ... below the end."""
    steps = []
    while first < end:
        steps.append(first)
        first *= factor
    return tuple(steps)


def fallen(trials: Sequence[Trial], steps: Iterable[int], factor: int, spec: StudySpec) -> frozenset[int]:
    """Numbers of the trials that did not pass one of these rungs."""
    return frozenset(number for step in steps for number in stopped(arrivals(trials, step, spec), factor))


def arrivals(trials: Iterable[Trial], rung: int, spec: StudySpec) -> list[Arrival]:
    """The trials that reached the rung, in the order in which they did, each with what it had to show then.

    A trial is there with its first report at the rung or beyond. Of several folds the first counts: those that are left are
    judged by whole folds, and halving them again would leave none.
    """
    end = STEPS_PER_FOLD if spec.validation is not None else LARGEST_STEP + 1
    there = []
    for trial in trials:
        place = bisect.bisect_left(trial.steps, rung)
        if place < len(trial.steps) and (step := trial.steps[place]) < end:
            order = (trial.arrivals.get(step, 0), trial.number)
            there.append(Arrival(order=order, cost=_cost(trial, step, spec), trial=trial.number))
    return sorted(there, key=lambda arrival: arrival.order)


def _cost(trial: Trial, step: int, spec: StudySpec) -> float:
    best = best_until(trial, step, spec.objective)
    return math.inf if best is None else -spec.objective.sign * best


def stopped(there: Iterable[Arrival], factor: int) -> list[int]:
    """Numbers of those that may not go on from a rung.

    Each is added, stopped ones too, and goes on while there are fewer than `factor`, or when it is among the best
    floor(count / factor); of equals the smaller number is better.
    """
    ranks: list[tuple[float, int]] = []
    hopeless = []
    for arrival in there:
        key = (arrival.cost, arrival.trial)
        bisect.insort(ranks, key)
        if len(ranks) >= factor and bisect.bisect_left(ranks, key) >= len(ranks) // factor:
            hopeless.append(arrival.trial)
    return hopeless

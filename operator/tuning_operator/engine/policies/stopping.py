"""When more of a search is not worth its cost: the rules of spec.stopping, over the course of the search. Pure.

They look at search trials that have ended by themselves, in the order of their ends; pruned and failed ones cost and count too.
Nothing is kept: an edited rule is right at the next look. A look finds its places in the course by bisection.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Final

from tuning_operator.api.stopping import MarginalGain, Plateau
from tuning_operator.api.study import Direction
from tuning_operator.engine import summary
from tuning_operator.engine.curve import Point
from tuning_operator.engine.facts import StudyFacts
from tuning_operator.engine.tally import tally

RECENT: Final = 20
"""The mean cost of so many newest trials stands for that of the next ones."""

NARROWEST: Final = 30
"""Mean costs that a window spans at least, and trials that end before anything is judged: every search has lulls of 10 or 20."""

TAIL: Final = 20
"""Completed trials that the tail slope looks at, the newest."""

EXCEEDANCES: Final = 5
"""So many best of them exceed the threshold, which is the next one."""

HORIZON: Final = 20
"""Trials ahead, of which the tail slope is the gain to be expected."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What an hour of a search brings. Hours are trial-hours, or GPU-hours where the rule counts these."""

    per_hour: float  # of the objective, turned so that more is better
    window: float  # hours
    improvement: float  # within the window


def gain(points: Sequence[Point], direction: Direction, *, window: float) -> Gain | None:
    """The marginal gain of a search per trial-hour: the larger of two estimates; None while they cannot be made.

    The window slope is what the best improved by within the window, per hour. It sees a sampler that keeps finding better
    regions, and gives up in a lull. The tail slope is what the next trials are likely to bring by the method of peaks over
    threshold (Balkema and de Haan 1974, Pickands 1975): beyond a high threshold u, values are distributed about exponentially.
    Of the newest 20 completed values, u is the 6th best, and the mean excess of the 5 best over u estimates the scale m. They
    are 5 of all n trials that ended in that time, 20 if all completed; so of the next H = 20 trials
    lambda = H (5 / n) exp(-(best - u) / m) can be expected to beat the best, and the best of these by about m ln(1 + lambda), at
    H times the mean cost of a trial.

    Args:
        points: the course of the search.
        direction: of the objective.
        window: trial-hours that it spans at least; so do 30 mean costs.
    """
    if not points:
        return None
    recent = points[-RECENT:]
    cost = sum(point.end.hours for point in recent) / len(recent)
    window = max(window, NARROWEST * cost)
    before = bisect_right(points, points[-1].hours - window, key=_hours) - 1
    if before < 0 or not cost:
        return None
    improvement = points[-1].best(direction) - points[before].best(direction)
    per_hour = max(improvement / window, _tail_slope(points, direction, cost))
    return Gain(per_hour=per_hour, window=window, improvement=improvement) if math.isfinite(improvement + per_hour) else None


def _tail_slope(points: Sequence[Point], direction: Direction, cost: float) -> float:
    values: list[float] = []
    ended = 0
    for point in reversed(points):
        ended += 1
        if point.end.value is not None:
            values.append(point.end.value if direction == "maximize" else -point.end.value)
        if len(values) == TAIL:
            break
    if len(values) <= EXCEEDANCES:
        return math.inf  # as far as anybody knows
    *exceeding, threshold = nlargest(EXCEEDANCES + 1, values)
    scale = sum(value - threshold for value in exceeding) / EXCEEDANCES
    if not scale or math.isinf(scale):
        return scale
    above = max(0.0, points[-1].best(direction) - threshold)
    expected = HORIZON * EXCEEDANCES / ended * math.exp(-above / scale)
    return scale * math.log1p(expected) / (HORIZON * cost)


def since_improvement(points: Sequence[Point], direction: Direction, *, min_delta: float) -> int:
    """How many of the newest trials together have improved the best by no more than min_delta; 0 before the first value."""
    best = points[-1].best(direction) if points else -math.inf
    if best == -math.inf:
        return 0
    return len(points) - 1 - bisect_left(points, best - min_delta, key=lambda point: point.best(direction))


def min_delta(facts: StudyFacts, rule: Plateau) -> float | None:
    """As the manifest says, or else the standard deviation of the baseline's runs; None where they give none."""
    base = summary.baseline(facts)
    return rule.min_delta if rule.min_delta is not None or base is None else base.stddev


def stagnation(facts: StudyFacts) -> int:
    """How many of the newest trials together have not improved the best, by more than plateau's minDelta where there is one."""
    rule = facts.spec.stopping.plateau
    least = min_delta(facts, rule) if rule else None
    return since_improvement(tally(facts).curve.points, facts.spec.objective.direction, min_delta=least or 0.0)


def marginal_gain(facts: StudyFacts) -> Gain | None:
    """The gain in the unit of spec.stopping.marginalGain; None without that rule, and while it is not judged."""
    rule = facts.spec.stopping.marginal_gain
    points = tally(facts).curve.points
    if not rule or len(points) < judged_from(facts, rule):
        return None
    gpus = facts.spec.trial.gpus if rule.by_gpu else 1
    found = gain(points, facts.spec.objective.direction, window=rule.window / gpus) if gpus else None
    return found and Gain(per_hour=found.per_hour / gpus, window=found.window * gpus, improvement=found.improvement)


def judged_from(facts: StudyFacts, rule: MarginalGain) -> int:
    """How many trials must have ended before the gain is judged: those that were chosen without any result tell little of it."""
    return max(rule.min_trials, NARROWEST + facts.spec.budget.parallelism)


def plateau_reached(facts: StudyFacts) -> str | None:
    """Why spec.stopping.plateau ends the search now, in a sentence; None while it does not."""
    rule = facts.spec.stopping.plateau
    least = min_delta(facts, rule) if rule else None
    if not rule or least is None or stagnation(facts) < rule.patience:
        return None
    points, direction = tally(facts).curve.points, facts.spec.objective.direction
    improvement = points[-1].best(direction) - points[-1 - rule.patience].best(direction)
    asked = f"{least:g}" if rule.min_delta is not None else f"{least:.2g}, the standard deviation of the baseline's runs"
    return (
        f"{_stopped(facts)}: the last {rule.patience} improved {facts.spec.objective.metric} by {improvement:.2g}; "
        f"spec.stopping.plateau asks for more than {asked}"
    )


def gain_too_small(facts: StudyFacts) -> str | None:
    """Why spec.stopping.marginalGain ends the search now, in a sentence; None while it does not."""
    rule, found = facts.spec.stopping.marginal_gain, marginal_gain(facts)
    if not rule or found is None or found.per_hour >= rule.threshold:
        return None
    return (
        f"{_stopped(facts)}: the last {hours(found.window)} {_unit(rule)}s improved {facts.spec.objective.metric} by "
        f"{found.improvement:.2g}; spec.stopping.marginalGain asks for {rule.threshold:g} per {_unit(rule)}"
    )


def outlook(facts: StudyFacts) -> str:
    """How near the rules are to the end of the search, in a sentence."""
    rules = facts.spec.stopping
    said = (
        _plateau_ahead(facts, rules.plateau) if rules.plateau else "",
        _gain_ahead(facts, rules.marginal_gain) if rules.marginal_gain else "",
    )
    return "; ".join(filter(None, said))


def _plateau_ahead(facts: StudyFacts, rule: Plateau) -> str:
    least = min_delta(facts, rule)
    if least is not None:
        without = f"{stagnation(facts)} trials without an improvement by more than {least:.4g}"
        return f"plateau: {without}, ends the search at {rule.patience}"
    if summary.baseline_done(facts):
        return "plateau: minDelta is missing, and fewer than two baseline runs gave a value; set spec.stopping.plateau.minDelta"
    return "plateau: waits for the baseline, whose standard deviation it uses as minDelta"


def _gain_ahead(facts: StudyFacts, rule: MarginalGain) -> str:
    found, ended, first = marginal_gain(facts), len(tally(facts).curve.points), judged_from(facts, rule)
    if found is not None:
        return (
            f"marginalGain: {found.per_hour:.2g} per {_unit(rule)} by the last {hours(found.window)} {_unit(rule)}s, "
            f"ends the search below {rule.threshold:g}"
        )
    if ended >= first:
        return "marginalGain: waits until values and cost fill its window"
    never = f", beyond budget.maxTrials {facts.spec.budget.max_trials}" if first > facts.spec.budget.max_trials else ""
    return f"marginalGain: judged from {first} ended trials on{never}; {ended} have ended"


def hours(amount: float) -> str:
    """Two figures of a number of hours, 4.0 rather than 4."""
    return f"{amount:.1f}" if amount >= 1 else f"{amount:.2g}"


def _stopped(facts: StudyFacts) -> str:
    return f"Stopped after {len(tally(facts).curve.points)} of {facts.spec.budget.max_trials} trials"


def _unit(rule: MarginalGain) -> str:
    return "GPU-hour" if rule.by_gpu else "trial-hour"


def _hours(point: Point) -> float:
    return point.hours

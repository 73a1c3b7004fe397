"""What the test set says of the winner and of the defaults. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tuning_operator.api.parameters import Parameters, defaults
from tuning_operator.api.study import StudySpec
from tuning_operator.engine import summary
from tuning_operator.engine.confirmation import confirmed
from tuning_operator.engine.facts import Role, StudyFacts, Trial, TrialState
from tuning_operator.engine.intervals import CONFIDENCE, Interval, mean_of, pooled
from tuning_operator.engine.row_scores import ROWS, scores_of
from tuning_operator.engine.student import t_quantile
from tuning_operator.engine.tally import tally

Outcome = Literal["Better", "Inconclusive", "Worse"]

BEST_EPOCH: Final = "best_epoch"
"""Metric of a training: the epoch, counted from 1, whose weights it kept by its validation rows."""

_MANY: Final = 1e6
"""Degrees of freedom of what is known well: Student's t is the normal distribution there."""

_ROUNDING: Final = 1e-4
"""What a metric may differ from the mean of its scores by row, relative to the larger of it and 1."""


@dataclass(frozen=True, kw_only=True)
class FinalFigures:
    """The final evaluation, once all of its runs have ended."""

    best: float | None  # mean over the winner's runs; None where none gave a value
    baseline: float | None
    gain: float | None  # turned so that more is better
    interval: Interval | None  # of the gain
    outcome: Outcome
    message: str
    validation_gap: float | None  # by how much the winner's fresh runs are better on validation rows than on test rows


def runs(spec: StudySpec) -> int:
    """How many runs the final evaluation takes."""
    return 2 * spec.final_evaluation.repeats if spec.final_evaluation else 0


def candidates(facts: StudyFacts) -> tuple[Parameters, ...]:
    """Whose runs take turns: the winner's parameters, then the defaults. None before it stands, or if nothing is tested."""
    winner = summary.winner(facts)
    if winner is None or facts.spec.final_evaluation is None:
        return ()
    return winner.parameters, defaults(facts.spec.parameters)


def epochs(trials: Iterable[Trial], parameters: Parameters) -> int | None:
    """How long a final run trains, having no validation rows to stop by.

    The mean best epoch of the fresh runs, or runs of the baseline, with its parameters; else of the search trials with them; None
    where these do not say.
    """
    like = [t for t in trials if t.role is not Role.FINAL and t.state is TrialState.COMPLETE and t.parameters == parameters]
    known = _best_epochs([t for t in like if t.role is not Role.SEARCH]) or _best_epochs(like)
    return max(1, round(mean_of(known))) if known else None


def figures(facts: StudyFacts) -> FinalFigures | None:
    """What came out; None before all runs have ended."""
    told, wanted = tally(facts).finals, runs(facts.spec)
    if not wanted or len(told) < wanted:
        return None
    best, base = _with_value(told[0::2]), _with_value(told[1::2])
    if not best or not base:
        side = "winner" if not best else "defaults"
        return FinalFigures(
            best=_mean(best), baseline=_mean(base), gain=None, interval=None, outcome="Inconclusive", validation_gap=None,
            message=f"no final run of the {side} gave a value, so that there is nothing to compare",
        )  # fmt: skip
    gain = facts.spec.objective.sign * (mean_of(summary.values_of(best)) - mean_of(summary.values_of(base)))
    judged = _judge(facts.spec, gain, best, base)
    outcome = _outcome(judged.interval)
    return FinalFigures(
        best=_mean(best),
        baseline=_mean(base),
        gain=gain,
        interval=judged.interval,
        outcome=outcome,
        message=_sentence(gain, judged, outcome),
        validation_gap=_validation_gap(facts, best),
    )


@dataclass(frozen=True)
class _Judged:
    interval: Interval | None
    caveat: str


def _judge(spec: StudySpec, gain: float, best: Sequence[Trial], base: Sequence[Trial]) -> _Judged:
    """The interval that has the error of the rows that happen to be tested, and that of the seeds.

    The variance of the paired differences by row, over their number, is added to that of the seeds' means; degrees of freedom
    after Satterthwaite (1946), the rows' part known well.
    """
    seeds, df = _seeds(summary.values_of(best), summary.values_of(base))
    rows = _by_row(best, base)
    caveat = "" if df else "one run each: the luck of the seeds is not in it"
    if rows is None:
        rows = _of_proportions(spec, best, base)
        weak = "scores by row are missing, so the interval is wider than it need be"
        if rows is None:
            if not df:
                return _Judged(None, "with one run each and no scores by row it cannot be tested")
            weak = "for this test set alone: without scores by row, the luck of its rows is not in it"
        caveat = "; ".join(filter(None, (weak, caveat)))
    square = (rows or 0.0) + seeds
    if not square:
        return _Judged(Interval(gain, gain), caveat)
    freedom = min(_MANY, df * (square / seeds) ** 2) if seeds and df else _MANY
    margin = t_quantile(CONFIDENCE, freedom) * math.sqrt(square)
    return _Judged(Interval(gain - margin, gain + margin), caveat)


def _seeds(best: Sequence[float], base: Sequence[float]) -> tuple[float, int]:
    """The variance of the difference of means that seeds give, pooled, and its degrees of freedom; 0 and 0 for one run each."""
    return pooled(best, base) if len(best) > 1 and len(base) > 1 else (0.0, 0)


def _by_row(best: Sequence[Trial], base: Sequence[Trial]) -> float | None:
    """The variance of the difference that the rows give, paired; None without scores of the same rows that are the metric's."""
    found = [scores_of(trial) for trial in (*best, *base)]
    first = found[0]
    if first is None or any(f is None or (f.fingerprint, f.name) != (first.fingerprint, first.name) for f in found):
        return None
    scores = [f.values for f in found if f is not None]
    amount = len(first.values)
    if amount <= 1 or any(len(values) != amount for values in scores):
        return None
    for trial, values in zip((*best, *base), scores, strict=True):
        value = trial.value or 0.0
        if abs(mean_of(values) - value) > _ROUNDING * max(1.0, abs(value)):
            return None  # the metric is another function of them, such as a root or a ratio
    ours, theirs = scores[: len(best)], scores[len(best) :]
    differences = [mean_of(a) - mean_of(b) for a, b in zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True)]
    return statistics.variance(differences) / amount


def _of_proportions(spec: StudySpec, best: Sequence[Trial], base: Sequence[Trial]) -> float | None:
    """The same for a share of right answers of which only the number of rows is known: as if both had other rows."""
    amount = min(trial.metrics.get(ROWS, 0.0) for trial in (*best, *base))
    metric = spec.final_evaluation.metric if spec.final_evaluation else ""
    if amount < 1 or not metric.endswith("accuracy") or "balanced" in metric:
        return None
    shares = [mean_of(summary.values_of(trials)) for trials in (best, base)]
    return sum(max(0.0, share * (1 - share)) / amount for share in shares)


def _outcome(interval: Interval | None) -> Outcome:
    if interval is not None and interval.low > 0:
        return "Better"
    return "Worse" if interval is not None and interval.high < 0 else "Inconclusive"


def _sentence(gain: float, judged: _Judged, outcome: Outcome) -> str:
    between = f" (95 % interval {judged.interval.low:.4g} to {judged.interval.high:.4g})" if judged.interval else ""
    match outcome:
        case "Better":
            said = f"on the test set the winner is {gain:.4g} better than the defaults{between}"
        case "Worse":
            said = f"on the test set the winner is {-gain:.4g} worse than the defaults{between}: keep the defaults"
        case _:
            unseen = f"; a gain under {judged.interval.high - gain:.4g} would not have been seen" if judged.interval else ""
            said = f"the test set cannot tell the winner from the defaults, {gain:+.4g}{between}{unseen}"
    return f"{said}; {judged.caveat}" if judged.caveat else said


def _validation_gap(facts: StudyFacts, best: Sequence[Trial]) -> float | None:
    fresh, metric = confirmed(facts), facts.spec.final_evaluation.metric if facts.spec.final_evaluation else ""
    if fresh is None or facts.spec.objective.metric.removeprefix("val_") != metric.removeprefix("test_"):
        return None
    return facts.spec.objective.sign * (fresh.mean - mean_of(summary.values_of(best)))


def _with_value(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    return tuple(t for t in trials if t.state is TrialState.COMPLETE and t.value is not None)


def _mean(trials: Sequence[Trial]) -> float | None:
    return mean_of(summary.values_of(trials)) if trials else None


def _best_epochs(trials: Sequence[Trial]) -> list[float]:
    found = (trial.metrics.get(BEST_EPOCH, math.nan) for trial in trials)
    return [epoch for epoch in found if math.isfinite(epoch)]

"""What fresh runs of the winner say of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tuning_operator.engine import summary
from tuning_operator.engine.facts import StudyFacts, Trial
from tuning_operator.engine.intervals import Interval, mean_of, of_difference, stddev_of
from tuning_operator.engine.tally import tally


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The winner's fresh runs that gave a value, once all of them have ended."""

    winner: Trial
    values: tuple[float, ...]  # at least one; the winner's own value, for which it was chosen, is not among them
    mean: float
    stddev: float | None  # n - 1 in the denominator; None for one run
    optimism: float  # by how much the value for which it was chosen is better than the mean; below 0: worse
    gain: float | None  # over the baseline's mean, turned so that more is better; None without a baseline
    interval: Interval | None  # of the gain; None where it cannot be tested

    @property
    def significant(self) -> bool:
        """Whether luck alone would hardly give such a gain."""
        return self.interval is not None and self.interval.low > 0


def confirmed(facts: StudyFacts) -> Confirmed | None:
    """The winner's honest figures; None before all of its fresh runs have ended, and when none of them gave a value."""
    winner, values = _winner(facts), summary.values_of(tally(facts).confirmations)
    if winner is None or winner.value is None or not values:
        return None
    sign = facts.spec.objective.sign
    base = [sign * value for value in summary.values_of(tally(facts).baselines)]
    fresh = [sign * value for value in values]
    mean = mean_of(fresh)
    return Confirmed(
        winner=winner,
        values=values,
        mean=sign * mean,
        stddev=stddev_of(values),
        optimism=sign * winner.value - mean,
        gain=mean - mean_of(base) if base else None,
        interval=of_difference(fresh, base),
    )


def sentence(facts: StudyFacts) -> str:
    """What came of the fresh runs; empty where there were none, or not all have ended."""
    winner = _winner(facts)
    if winner is None:
        return ""
    found, runs = confirmed(facts), len(tally(facts).confirmations)
    if found is None:
        return f"none of {runs} fresh runs of trial {winner.number} gave a value, so that its gain is not confirmed"
    metric, amount = facts.spec.objective.metric, len(found.values)
    fresh = f"{amount} fresh run{'s' if amount > 1 else ''} of trial {winner.number} reached {metric} {found.mean:.6g}"
    return f"{fresh}{' on average' if amount > 1 else ''}, {verdict(found)}"


def verdict(found: Confirmed) -> str:
    """What the fresh runs mean against the baseline, as the end of a sentence."""
    if found.gain is None:
        return "with no baseline to compare"
    gain = f"{found.gain:.4g} better than the defaults" if found.gain >= 0 else f"{-found.gain:.4g} worse than the defaults"
    if found.interval is None:
        return f"{gain}, which cannot be tested: that takes two runs of each or more"
    between = f"95 % interval {found.interval.low:.4g} to {found.interval.high:.4g}"
    if found.significant:
        return f"{gain} ({between})"
    return f"{gain}, which may be luck ({between})"


def _winner(facts: StudyFacts) -> Trial | None:
    done = len(tally(facts).confirmations) >= max(1, facts.spec.confirmation.repeats)
    return summary.winner(facts) if done else None

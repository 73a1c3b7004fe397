"""Rules about how a training moved: its steps, gradients and units."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Final

from tuning_client import Diagnosis
from tuning_trainer.diagnosis.course import VANISHING, Course, about, median, named

DIVERGED: Final = 4.0  # times its start that the loss has risen to, in two epochs running
UNSCALED: Final = 100.0  # times that one feature is larger than another
EXPLODING: Final = 100.0  # norm of a gradient, or times the norm of the first epoch
FIRST_BY_LAST: Final = 70.0  # norm of the first layer's gradient by the last layer's (AUTOTRAINER, ICSE 2021)
SLOW_STEP: Final = 1e-4  # norm of a step by that of the weights
FAST_STEP: Final = 3e-3
GOOD_STEP: Final = 1e-3
UNSTABLE: Final = 0.05  # share of its start by which the loss was above twice its best, in two epochs running
DEAD: Final = 0.4  # share of hidden units


def diverged(course: Course) -> Diagnosis | None:
    """The loss is no number, or has risen far above its start and stays there."""
    last = course.epochs[-1]
    rate = course.settings.learning_rate
    advice = f"lower learning_rate from {rate:.2g} to about {about(rate / 10)}, or set gradient_clipping"
    for name, loss in (("training", last.train_loss), ("validation", last.val_loss)):
        if not math.isfinite(loss):
            sentence = f"The {name} loss became {loss} in epoch {len(course.epochs)}: {advice}."
            return named("diverged", sentence, loss, threshold=None)
    risen = min(course.losses[-2:]) / max(course.first_loss, course.chance_loss)
    if len(course.epochs) == 1 or not risen > DIVERGED:
        return None
    return named("diverged", f"The training loss rose to {risen:.2g} times its start: {advice}.", risen, DIVERGED)


def unscaled_features(course: Course) -> Diagnosis | None:
    """Features of very different sizes are left as they are."""
    spread = course.beginning.feature_spread
    if course.settings.scaling != "none" or spread is None or not spread > UNSCALED:
        return None
    sentence = f"One feature is {spread:.2g} times larger than another, so that it alone is learnt from: set scaling to standard."
    return named("unscaled-features", sentence, spread, UNSCALED)


def exploding_gradients(course: Course) -> Diagnosis | None:
    """Gradients are huge from the first epoch on, become so, or grow on their way back through the layers."""
    first = next((epoch.gradient_norm_median for epoch in course.epochs if epoch.gradient_norm_median is not None), None)
    if first is None:
        return None
    largest = max((epoch.gradient_norm_max for epoch in course.epochs if epoch.gradient_norm_max is not None), default=first)
    clipping = f"set gradient_clipping to about {about(min(first, 1.0))}"
    advice = f"{clipping}, add normalization, or lower learning_rate to about {about(course.settings.learning_rate / 3)}"
    if first > EXPLODING:
        sentence = f"Gradients of the first epoch had the norm {first:.2g}, where 1 is usual: {advice}."
        return named("exploding-gradients", sentence, first, EXPLODING)
    if largest > EXPLODING * first > 0:
        sentence = f"A gradient's norm grew to {largest / first:.2g} times that of the first epoch: {advice}."
        return named("exploding-gradients", sentence, largest / first, EXPLODING)
    ratio = course.first_by_last
    if ratio is not None and ratio > FIRST_BY_LAST:
        sentence = f"The first layer's gradient is {ratio:.2g} times the last one's: it grows from layer to layer; {advice}."
        return named("exploding-gradients", sentence, ratio, FIRST_BY_LAST)
    return None


def vanishing_gradients(course: Course) -> Diagnosis | None:
    """Gradients fade on their way back through the layers, and so nothing is learnt for long."""
    ratio = course.first_by_last
    if not course.vanishing or ratio is None:
        return None
    settings = course.settings
    remedies = [
        f"activation relu instead of {settings.activation}" if settings.activation in ("sigmoid", "tanh") else "",
        "normalization batch" if settings.normalization == "none" else "",
        "residual on" if settings.residual == "off" else "",
        f"fewer layers than {settings.layers}" if settings.layers > 1 else "",
    ]
    sentence = (
        f"The first layer's gradient is only {ratio:.1g} of the last one's and the loss stood still:"
        f" try {', '.join(filter(None, remedies)) or 'a network of fewer layers'}."
    )
    return named("vanishing-gradients", sentence, ratio, VANISHING)


def learning_rate_too_low(course: Course) -> Diagnosis | None:
    """Steps are tiny against the weights, and the loss has hardly moved."""
    if not course.long or course.vanishing or course.dead_units >= DEAD or course.early_loss <= 0.5 * course.start:
        return None
    highest = max(epoch.learning_rate for epoch in course.epochs)
    # A rate that has decayed says nothing against the one it began with.
    ratio = median(epoch.update_ratio for epoch in course.epochs if epoch.learning_rate >= highest / 2)
    if ratio is None or not ratio < SLOW_STEP:
        return None
    rate = course.settings.learning_rate
    better = rate * min(1000.0, GOOD_STEP / ratio) if ratio > 0 else rate * 10
    sentence = (
        f"A step moves the weights by {ratio:.1g} of themselves, and after 30 % of the epochs the loss was still"
        f" {course.early_loss / course.first_loss:.0%} of its start:"
        f" raise learning_rate from {rate:.2g} to about {about(better)}."
    )
    return named("learning-rate-too-low", sentence, ratio, SLOW_STEP)


def unstable(course: Course) -> Diagnosis | None:
    """The loss fell, and rose again far above its best for longer than one epoch."""
    warm = course.losses[math.ceil(course.settings.warmup_epochs) :]
    lowest = accumulate(warm, min)
    rises = (min(pair) - 2 * best for best, pair in zip(lowest, pairwise(warm[1:]), strict=False))
    excess = max(rises, default=0.0) / course.first_loss
    if not math.isfinite(excess) or not excess > UNSTABLE:
        return None
    rate = course.settings.learning_rate
    sentence = (
        f"The training loss fell and then rose above twice its best by {excess:.0%} of its start, for two epochs:"
        f" lower learning_rate from {rate:.2g} to about {about(rate / 5)}, or set warmup_epochs or gradient_clipping."
    )
    return named("unstable", sentence, excess, UNSTABLE)


def learning_rate_too_high(course: Course) -> Diagnosis | None:
    """Steps are still large against the weights when they should settle. At the beginning good rates look like that."""
    if not course.long or course.vanishing:
        return None
    ratio = median(epoch.update_ratio for epoch in course.part(0.7))
    if ratio is None or not ratio > FAST_STEP:
        return None
    rate = course.settings.learning_rate
    sentence = (
        f"At the end a step still moved the weights by {ratio:.1g} of themselves, too far to settle: lower learning_rate"
        f" from {rate:.2g} to about {about(rate * max(0.01, GOOD_STEP / ratio))}, or let it decay with schedule cosine."
    )
    return named("learning-rate-too-high", sentence, ratio, FAST_STEP)


def dead_units(course: Course) -> Diagnosis | None:
    """Hidden units that nothing switches on any more."""
    if not course.dead_units >= DEAD:
        return None
    rate = course.settings.learning_rate
    sentence = (
        f"{course.dead_units:.0%} of the hidden units are 0 for every validation row: lower learning_rate from {rate:.2g}"
        f" to about {about(rate / 10)}, set activation to gelu, or add normalization."
    )
    return named("dead-units", sentence, course.dead_units, DEAD)

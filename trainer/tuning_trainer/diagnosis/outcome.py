"""Rules about what came of a training: what it learnt, and whether that holds for rows that it has not seen."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Final

from tuning_client import Diagnosis
from tuning_trainer.diagnosis.course import NO_BETTER, Course, about, named

BAD_START: Final = 3.0  # times a guess's loss
STILL_FALLING: Final = 0.05  # share of the loss's whole fall that the last fifth of the epochs had
FALLING_SHARE: Final = 0.75  # share of epochs in which a loss fell that is falling, and not just moving
AT_THE_FLOOR: Final = 0.1  # share of its highest at which a learning rate has run out
ACCURACY_GAP: Final = 0.1
ACCURACY_GAP_NEAR_ONE: Final = 0.07  # when the training rows are right in more than
NEAR_ONE: Final = 0.9
SURE: Final = 3.0  # standard errors that a gap of accuracies must have: of five dozen healthy trainings one had two
VALIDATION_RISE: Final = {"regression": 1.2, "classification": 1.5}  # times its best
LEAST_RISE: Final = {"regression": 0.05, "classification": 0.15}  # share of a constant answer's loss


def not_learning(course: Course) -> Diagnosis | None:
    """The training rows are hardly known better at the end than by a constant answer."""
    share = course.late_loss / course.chance_loss
    if not course.long or not share > NO_BETTER:
        return None
    sentence = (
        f"At the end the training loss was {share:.0%} of what a constant answer costs: look at the diagnoses beside this one,"
        " then at dropout and weight_decay, then at whether the features tell anything of the target."
    )
    return named("not-learning", sentence, share, NO_BETTER)


def bad_start(course: Course) -> Diagnosis | None:
    """Before its first step the network is confidently wrong."""
    times = course.first_loss / course.guess_loss
    # Few standardised targets have by chance a mean square of several times their variance.
    threshold = BAD_START if course.classification else max(BAD_START, 1 + 6 / math.sqrt(course.settings.batch_size))
    if not times > threshold:
        return None
    sentence = (
        f"Before the first step the loss was {times:.2g} times what a guess costs, and has to be unlearnt first:"
        " scale the features, add normalization, or start from smaller weights."
    )
    return named("bad-start", sentence, times, threshold)


def did_not_converge(course: Course) -> Diagnosis | None:
    """The epochs ran out while the loss was still falling and the validation rows still gained."""
    stopped_early = len(course.epochs) < course.settings.epochs
    out_of_rate = course.epochs[-1].learning_rate < AT_THE_FLOOR * max(epoch.learning_rate for epoch in course.epochs)
    if not course.long or stopped_early or out_of_rate:
        return None
    before, last = course.part(0.6, 0.8), course.part(0.8)
    losses = [epoch.train_loss for epoch in (*before, *last)]
    falling = statistics.fmean(now < previous for previous, now in pairwise(losses))
    # Medians: one epoch above the others is no fall after it.
    end = statistics.median(epoch.train_loss for epoch in last)
    whole = course.start - end
    # More epochs would not help where the validation rows have been best long ago.
    best_is_recent = min(course.epochs, key=lambda epoch: epoch.val_loss) in last
    if falling < FALLING_SHARE or whole < STILL_FALLING * course.start or not best_is_recent:
        return None
    fall = (statistics.median(epoch.train_loss for epoch in before) - end) / whole
    if not fall > STILL_FALLING:
        return None
    rate, epochs = course.settings.learning_rate, course.settings.epochs
    sentence = (
        f"The last fifth of the epochs still had {fall:.0%} of the loss's whole fall: raise epochs from {epochs} to about"
        f" {about(2 * epochs)}, or learning_rate from {rate:.2g} to about {about(3 * rate)}."
    )
    return named("did-not-converge", sentence, fall, STILL_FALLING)


def overfitting(course: Course) -> Diagnosis | None:
    """What is still learnt holds for the training rows alone."""
    if not course.long or course.late_loss > NO_BETTER * course.chance_loss:
        return None
    remedies = "raise dropout or weight_decay, use fewer hidden_units"
    if course.settings.patience == 0:
        remedies += ", or set patience to stop early"
    gap, threshold = _accuracy_gap(course)
    if gap > threshold:
        sentence = f"The training rows are right in {gap:.0%} more of the cases than the validation rows: {remedies}."
        return named("overfitting", sentence, gap, threshold)
    losses = [epoch.val_loss for epoch in course.epochs]
    best, end = min(losses), statistics.median(epoch.val_loss for epoch in course.part(0.9))
    task = course.beginning.task
    risen = end / best if best > 0 else 1.0
    if risen < VALIDATION_RISE[task] or end - best < LEAST_RISE[task] * course.chance_loss:
        return None
    sentence = (
        f"The validation loss was best in epoch {losses.index(best) + 1} of {len(losses)}"
        f" and has risen to {risen:.2g} times that: {remedies}."
    )
    return named("overfitting", sentence, risen, VALIDATION_RISE[task])


def _accuracy_gap(course: Course) -> tuple[float, float]:
    """The training rows' accuracy less the validation rows' in the last 30 % of the epochs; from where on it tells something."""
    last = course.part(0.7)
    seen = [epoch.train_accuracy for epoch in last if epoch.train_accuracy is not None]
    told = [epoch.val_accuracy for epoch in last if epoch.val_accuracy is not None]
    if not seen or not told:
        return 0.0, ACCURACY_GAP
    training, validation = statistics.fmean(seen), statistics.fmean(told)
    # Both are accuracies of a sample: of a few rows a gap says nothing.
    variance = training * (1 - training) / (len(seen) * course.settings.batch_size)
    variance += validation * (1 - validation) / course.beginning.validation_rows
    least = ACCURACY_GAP_NEAR_ONE if training > NEAR_ONE else ACCURACY_GAP
    return training - validation, max(least, SURE * math.sqrt(variance))

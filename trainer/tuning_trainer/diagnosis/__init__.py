"""What was wrong with a training, read from its series: a chain of rules, the most telling first.

Every rule is pure: the figures of a training go in, a diagnosis or None comes out. docs/decisions/0048-diagnoses.md has
where the rules come from, and how often each was right in trainings that were made to fail and in healthy ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tuning_client import Diagnosis
from tuning_trainer.diagnosis import outcome, steps
from tuning_trainer.diagnosis.course import Beginning, Course, Epoch, Name

__all__ = ["Beginning", "Epoch", "Name", "diagnose"]

RULES: Final[tuple[Callable[[Course], Diagnosis | None], ...]] = (
    steps.diverged,
    steps.unscaled_features,
    steps.exploding_gradients,
    steps.vanishing_gradients,
    steps.learning_rate_too_low,
    steps.unstable,
    steps.learning_rate_too_high,
    steps.dead_units,
    outcome.not_learning,
    outcome.bad_start,
    outcome.did_not_converge,
    outcome.overfitting,
)


def diagnose(beginning: Beginning, epochs: Sequence[Epoch]) -> tuple[Diagnosis, ...]:
    """What was wrong with a training that has ended, the most telling first; nothing of a healthy one.

    Of a training that diverged, the epoch in which it did is the last.
    """
    if not epochs:
        return ()
    course = Course(beginning, tuple(epochs))
    return tuple(diagnosis for rule in RULES if (diagnosis := rule(course)) is not None)

"""The generalization gap of large batches: what no single trial can know, since it shows in two of them. Pure.

Keskar et al., "On Large-Batch Training for Deep Learning" (2017), arXiv 1609.04836, section 2.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import Final

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.engine import summary
from tuning_operator.engine.facts import Role, StudyFacts, Trial, TrialState
from tuning_operator.engine.tally import Diagnosed

NAME: Final = "large-batch-gap"
BATCH_SIZE: Final = "batch_size"
"""Parameter of the project's own trainer, and usual elsewhere."""

TRAIN_LOSS: Final = "train_loss"
"""Metric that tells how well a trial learnt its training rows."""

EQUAL_TRAINING: Final = 0.05
"""Share by which the training losses of the two may differ."""

DEVIATIONS: Final = 2.0
"""Standard deviations of the baseline's repeats by which the objective must be worse."""


_MOST_ALIKE: Final = 200
"""Trials that are compared with each other, each with each."""


def large_batch_gap(facts: StudyFacts) -> Diagnosed | None:
    """Trials that learnt their training rows as well as one like them with smaller batches, and generalize worse.

    They are alike in all parameters but the batch size. Nothing is said without the spread of at least two runs of the
    defaults, nor before the study has ended: every pair of trials is looked at.
    """
    base = summary.baseline(facts)
    if facts.verdict is None or base is None or not base.stddev:
        return None
    if all(parameter.name != BATCH_SIZE for parameter in facts.spec.parameters):
        return None
    sign = facts.spec.objective.sign
    gaps: dict[int, tuple[float, Trial, Trial]] = {}
    for small, large in _pairs(facts.of(Role.SEARCH)):
        gap = sign * (_value(small) - _value(large)) / base.stddev
        if gap > max(DEVIATIONS, gaps[large.number][0] if large.number in gaps else 0.0):
            gaps[large.number] = gap, small, large
    if not gaps:
        return None
    gap, small, large = gaps[min(gaps)]
    return Diagnosed(trials=len(gaps), example=large.number, diagnosis=_diagnosis(gap, small, large))


def _diagnosis(gap: float, small: Trial, large: Trial) -> Diagnosis:
    sizes = f"batch_size {large.parameters[BATCH_SIZE]} learns the training rows as well as {small.parameters[BATCH_SIZE]}"
    advice = (
        f"{sizes} in trial {small.number}, and its objective is worse by {gap:.2g} deviations of the defaults:"
        " use smaller batches, or tune the learning rate anew for large ones."
    )
    return Diagnosis(name=NAME, advice=advice, figure=gap, threshold=DEVIATIONS)


def _pairs(trials: Iterable[Trial]) -> Iterator[tuple[Trial, Trial]]:
    """Trials that differ in their batch size alone and learnt their training rows alike, the smaller batch first."""
    alike: defaultdict[tuple[object, ...], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.state is TrialState.COMPLETE and BATCH_SIZE in trial.parameters and TRAIN_LOSS in trial.metrics:
            alike[tuple(sorted((name, value) for name, value in trial.parameters.items() if name != BATCH_SIZE))].append(trial)
    for group in alike.values():
        pairs = permutations(group[:_MOST_ALIKE], 2)
        yield from ((small, large) for small, large in pairs if _smaller(small, large) and _learnt(small, large))


def _smaller(one: Trial, other: Trial) -> bool:
    sizes = one.parameters[BATCH_SIZE], other.parameters[BATCH_SIZE]
    return not any(isinstance(size, str) for size in sizes) and float(sizes[0]) < float(sizes[1])


def _learnt(one: Trial, other: Trial) -> bool:
    return math.isclose(one.metrics[TRAIN_LOSS], other.metrics[TRAIN_LOSS], rel_tol=EQUAL_TRAINING)


def _value(trial: Trial) -> float:
    assert trial.value is not None, "a complete trial has a value"
    return trial.value

"""What pruning saves, on curves that are made: simulated trainings, no sleeping."""

from __future__ import annotations

import heapq
import random
import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tests.unit.engine.pruning.curves import pruned, reported, study

from tuning_operator.engine.facts import StudyFacts, TrialState

EPOCHS: Final = 27
TRIALS: Final = 60
WORKERS: Final = 8
NOISE: Final = 0.004


class Training:
    """An accuracy that rises to its limit, sooner or later: curves cross, and some never rise."""

    def __init__(self, seed: str) -> None:
        chance = random.Random(seed)
        self.limit = 0.95 - 0.15 * chance.random() ** 2 if chance.random() > 0.15 else 0.1
        self._half = EPOCHS * chance.uniform(0.03, 0.25)
        self._noise = [chance.gauss(0, NOISE) for _ in range(EPOCHS)]
        self.seconds = chance.lognormvariate(0, 0.3)  # of an epoch

    def accuracy(self, epoch: int) -> float:
        return 0.1 + (self.limit - 0.1) * (1 - 2 ** (-epoch / self._half)) + self._noise[epoch - 1]


def run(seed: int, pruning: Mapping[str, Any]) -> tuple[float, int]:
    """The limit of the trial that looks best in the end, and the epochs of all."""
    trainings = [Training(f"{seed}/{number}") for number in range(TRIALS)]
    facts = study(pruning, running=[{}] * TRIALS)
    waiting = iter(range(TRIALS))
    events = [(trainings[number].seconds, number, 1) for number in (next(waiting) for _ in range(WORKERS))]
    epochs = 0
    while events:
        now, number, epoch = heapq.heappop(events)
        epochs += 1
        facts = reported(facts, [(number, epoch, trainings[number].accuracy(epoch))], after=epochs)
        if epoch < EPOCHS and number not in pruned(facts):
            heapq.heappush(events, (now + trainings[number].seconds, number, epoch + 1))
            continue
        facts = ended(facts, number, complete=epoch == EPOCHS)
        if (following := next(waiting, None)) is not None:
            heapq.heappush(events, (now + trainings[following].seconds, following, 1))
    best = max((trial for trial in facts.trials if trial.state is TrialState.COMPLETE), key=lambda trial: trial.value or 0.0)
    return trainings[best.number].limit, epochs


def ended(facts: StudyFacts, number: int, *, complete: bool) -> StudyFacts:
    trial = facts.trial(number)
    value = max(trial.reports.values()) if complete else None
    return facts.with_trial(replace(trial, state=TrialState.COMPLETE if complete else TrialState.PRUNED, value=value))


def test_successive_halving_takes_less_than_half_of_the_epochs_to_the_same_quality() -> None:
    asha = {"pruner": "asha", "maxResource": EPOCHS}
    pairs = [(run(seed, {"pruner": "none"}), run(seed, asha)) for seed in range(10)]
    shares = [with_it / without for (_, without), (_, with_it) in pairs]
    losses = [full - halved for (full, _), (halved, _) in pairs]
    assert all(without == TRIALS * EPOCHS for (_, without), _ in pairs)
    assert statistics.fmean(shares) <= 0.5
    assert statistics.fmean(losses) <= NOISE / 2

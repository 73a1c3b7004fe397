"""Folds: compared one by one with the best trial's, and given up when the rest will hardly turn the difference around."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import t as scipy_t
from tests.unit.engine.pruning.curves import pruned, study

from tuning_operator.engine.policies.pruning.folds import Field, behind, chance, field_of

FOLD = 1_000_000
ONLY_FOLDS = {"pruner": "folds"}
# Quality 0.9, 0.8, 0.7; the second fold is hard for all; noise of about 0.01.
COMPLETED = [(0.90, 0.71, 0.90, 0.92, 0.89), (0.81, 0.60, 0.79, 0.80, 0.80), (0.70, 0.49, 0.70, 0.71, 0.69)]


def folds(*scores: float, over: bool = True) -> dict[int, float]:
    """Two reports in each fold, the second one better; and one of the next fold, which says that they are over."""
    reports: dict[int, float] = {}
    for fold, score in enumerate(scores):
        reports |= {fold * FOLD + 1: score - 0.5, fold * FOLD + 2: score}
    return reports | ({len(scores) * FOLD + 1: 0.0} if over else {})


def five(*running: dict[int, float], completed: int = 3, strict: bool = False, **pruning: Any) -> list[int]:
    complete = [folds(*scores, over=False) for scores in COMPLETED[:completed]]
    validation = {"folds": 5, "strictFolds": strict}
    facts = study({**ONLY_FOLDS, **pruning}, complete=complete, running=running, validation=validation)
    return [number - completed for number in pruned(facts)]


@pytest.mark.parametrize(
    ("reports", "strict", "hopeless"),
    [
        pytest.param(folds(0.85), False, True, id="far behind on its first fold"),
        pytest.param(folds(0.89), False, False, id="a little behind on its first fold"),
        pytest.param(folds(0.89, 0.70, 0.88), False, True, id="a little behind on each of three folds"),
        pytest.param(folds(0.90, 0.71), False, False, id="level, though the second fold is worse than the first"),
        pytest.param(folds(0.95), False, False, id="ahead"),
        pytest.param(folds(0.60, over=False), False, False, id="still in its first fold"),
        pytest.param(folds(), False, False, id="without any report of a whole fold"),
        pytest.param(folds(0.85), True, False, id="strictly judged, far behind on one fold alone"),
        pytest.param(folds(0.85, 0.66), True, True, id="strictly judged, far behind on two folds"),
        pytest.param(folds(0.5, 0.72), True, False, id="strictly judged, far behind on one fold and ahead on another"),
        pytest.param(folds(0.5, 0.72), False, True, id="far behind on one fold and ahead on another"),
        pytest.param(folds(math.nan), False, False, id="without a number in its first fold"),
        pytest.param(folds(0.89, math.nan), False, False, id="without a number in its second fold"),
        pytest.param(folds(0.5, 0.5, 0.5, 0.5, 0.5, over=False), False, True, id="far behind, in its last fold"),
    ],
)
def test_a_trial_is_judged_when_it_is(reports: dict[int, float], strict: bool, hopeless: bool) -> None:  # noqa: FBT001
    assert five(reports, strict=strict) == ([0] if hopeless else [])


def test_two_complete_trials_are_too_few_to_know_the_spread() -> None:
    assert five(folds(0.1), completed=2) == []


def test_every_pruner_but_none_compares_folds_too() -> None:
    assert five(folds(0.1), pruner="patient", patience=9) == [0]
    assert five(folds(0.1), pruner="none") == []


def test_complete_trials_of_the_same_parameters_count_once() -> None:
    validation = {"folds": 2}
    complete = [folds(*scores, over=False) for scores in [(0.90, 0.80), (0.89, 0.80), (0.88, 0.77)]]
    facts = study(ONLY_FOLDS, complete=complete, running=[folds(0.1)], validation=validation)
    same = tuple(replace(trial, parameters={"learning_rate": 0.1}) for trial in facts.trials[:3])
    assert pruned(facts) == [3]
    assert pruned(replace(facts, trials=(*same, facts.trials[3]))) == []


def test_the_spread_is_what_trials_and_folds_leave_unexplained() -> None:
    exact = field_of([(1.0, 3.0, 2.0), (2.0, 4.0, 3.0), (5.0, 7.0, 6.0)])
    assert (exact.incumbent, exact.df) == ((5.0, 7.0, 6.0), 4)
    assert exact.spread == pytest.approx(0, abs=1e-12)
    assert not behind((0.0,), exact, strict=False), "without spread no chance can be said"
    noisy = field_of([(1.0, 3.0), (2.0, 4.5), (5.0, 6.5)])
    # By hand: residuals +-0, +-0.25, +-0.25; their squares sum up to 0.25; 2 degrees of freedom.
    assert noisy.df == 2
    assert noisy.spread == pytest.approx(math.sqrt(0.25 / 2))


def test_the_chance_is_that_of_student_s_t() -> None:
    field = Field(incumbent=(0.0,) * 5, spread=2.0, df=40)
    expected = scipy_t.cdf(-3.0 / (2.0 * math.sqrt(2 * 3 / (5 * 2))), 40)
    assert chance([-1.0, -5.0], field) == pytest.approx(expected, rel=1e-9)


def test_of_many_simulated_studies_few_lose_the_trial_that_all_folds_would_have_chosen() -> None:
    """Scores of quality + fold + noise, 30 trials of unlike quality, 5 folds, 200 studies."""
    chance_ = random.Random(20261123)
    lost, used = 0, []
    for _ in range(200):
        hard = [chance_.gauss(0, 2) for _ in range(5)]
        qualities = [chance_.gauss(0, 1.5) for _ in range(30)]
        scores = [tuple(quality + fold + chance_.gauss(0, 1) for fold in hard) for quality in qualities]
        kept: list[tuple[float, ...]] = []
        for mine in scores:
            field = field_of(kept) if len(kept) >= 3 else None
            ends = next((done for done in range(1, 5) if field and behind(mine[:done], field, strict=False)), 5)
            used.append(ends)
            if ends == 5:
                kept.append(mine)
        lost += max(scores, key=statistics.fmean) not in kept
    assert lost <= 0.035 * 200
    assert statistics.fmean(used) / 5 < 0.65

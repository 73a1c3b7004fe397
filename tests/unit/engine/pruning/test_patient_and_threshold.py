"""The rules that look at one trial alone: as tables, and beside Optuna's where both mean the same."""

from __future__ import annotations

import math
import warnings
from typing import Any, get_args

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.pruning.curves import curve, pruned, study

from tuning_operator.api.study import Direction

TWICE = {"pruner": "patient", "patience": 2}
FOLD = 1_000_000


@pytest.mark.parametrize(
    ("pruning", "reports", "hopeless"),
    [
        pytest.param(TWICE, curve(0.5, 0.4), False, id="worse once"),
        pytest.param(TWICE, curve(0.5, 0.4, 0.4), True, id="worse twice"),
        pytest.param(TWICE, curve(0.5, 0.5, 0.5), True, id="as good as before, twice"),
        pytest.param(TWICE, curve(0.5, 0.4, 0.51), False, id="worse, then better"),
        pytest.param({**TWICE, "minDelta": 0.1}, curve(0.5, 0.4, 0.6), True, id="better by no more than minDelta"),
        pytest.param({**TWICE, "minDelta": 0.1}, curve(0.5, 0.4, 0.61), False, id="better by more than minDelta"),
        pytest.param({**TWICE, "warmupSteps": 4}, curve(0.5, 0.4, 0.4), False, id="worse twice before it is warm"),
        pytest.param(TWICE, curve(0.5, math.nan, math.nan), True, id="without a number for two reports"),
        pytest.param(TWICE, curve(math.nan, math.nan, 0.1), False, id="with its first number"),
        pytest.param(TWICE, curve(math.nan, math.nan, math.nan), True, id="without any number for longer than that"),
        pytest.param(TWICE, {5: 0.5, 20: 0.4}, False, id="worse in one report that is many steps later"),
        pytest.param({"pruner": "threshold", "lower": 0.2}, curve(0.3, 0.2), False, id="at the lower threshold"),
        pytest.param({"pruner": "threshold", "lower": 0.2}, curve(0.1, 0.3), True, id="below the lower threshold once"),
        pytest.param({"pruner": "threshold", "upper": 0.2}, curve(0.1, 0.3), True, id="above the upper threshold"),
        pytest.param({"pruner": "threshold", "upper": 0.2}, curve(-1e9), False, id="anywhere where nothing bounds it"),
        pytest.param({"pruner": "threshold", "upper": 1e9}, curve(math.inf), True, id="infinite"),
        pytest.param({"pruner": "threshold", "upper": 1.0}, curve(math.nan), True, id="not a number"),
        pytest.param(
            {"pruner": "threshold", "upper": 1.0, "warmupSteps": 2}, curve(9.0, 0.9), False, id="beyond it before it is warm"
        ),
    ],
)
def test_a_trial_is_hopeless_when_it_is(pruning: dict[str, Any], reports: dict[int, float], hopeless: bool) -> None:  # noqa: FBT001
    assert pruned(study(pruning, running=[reports])) == ([0] if hopeless else [])


def test_every_fold_is_waited_for_anew_and_may_warm_up() -> None:
    new_fold = curve(0.9, 0.95) | curve(0.5, 0.4, first=FOLD + 1)
    assert pruned(study(TWICE, running=[new_fold], validation={"folds": 2})) == []
    assert pruned(study(TWICE, running=[new_fold | {FOLD + 3: 0.4}], validation={"folds": 2})) == [0]
    steep = {"pruner": "threshold", "lower": 0.6, "warmupSteps": 2}
    assert pruned(study(steep, running=[curve(0.9, 0.95) | {FOLD + 1: 0.1}], validation={"folds": 2})) == []


directions: st.SearchStrategy[Direction] = st.sampled_from(get_args(Direction))
distinct = st.lists(st.floats(-100, 100), min_size=1, max_size=8, unique=True)


@given(values=distinct, patience=st.integers(1, 4), direction=directions)
def test_without_ties_optuna_is_as_patient_with_one_report_more(values: list[float], patience: int, direction: Direction) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.PatientPruner(None, patience=patience - 1)
    assert decided(pruner, values, direction) == bool(
        pruned(study({"pruner": "patient", "patience": patience}, running=[curve(*values)], direction=direction))
    )


@given(
    values=st.lists(st.floats(allow_nan=True), min_size=1, max_size=5),
    lower=st.floats(-10, 0),
    upper=st.floats(1, 10),
    warmup=st.integers(0, 4),
)
def test_optuna_has_the_same_thresholds(values: list[float], lower: float, upper: float, warmup: int) -> None:
    pruner = optuna.pruners.ThresholdPruner(lower=lower, upper=upper, n_warmup_steps=warmup)
    ours = {"pruner": "threshold", "lower": lower, "upper": upper, "warmupSteps": warmup}
    at_each_report = [decided(pruner, values[: count + 1], "maximize") for count in range(len(values))]
    assert bool(pruned(study(ours, running=[curve(*values)]))) == any(at_each_report)


def decided(pruner: optuna.pruners.BasePruner, values: list[float], direction: Direction) -> bool:
    study_of_theirs = optuna.create_study(direction=direction)
    running = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=curve(*values))
    return pruner.prune(study_of_theirs, running)

"""The median and other percentiles: as tables, and beside Optuna's where both mean the same."""

from __future__ import annotations

import math
from typing import Any, get_args

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.pruning.curves import curve, pruned, study

from tuning_operator.api.study import Direction

COMPLETED = (curve(0.1, 0.5), curve(0.2, 0.6), curve(0.3, 0.7), curve(0.4, 0.8), curve(0.5, 0.9))
QUARTER = {"pruner": "percentile", "percentile": 25}


@pytest.mark.parametrize(
    ("pruning", "reports", "hopeless"),
    [
        pytest.param(QUARTER, curve(0.40), False, id="at the value that the best quarter reaches"),
        pytest.param(QUARTER, curve(0.39), True, id="short of the value that the best quarter reaches"),
        pytest.param(QUARTER, curve(0.40, 0.79), True, id="among the best quarter once, and not any more"),
        pytest.param(QUARTER, curve(0.85, 0.1), False, id="worse than it was, and it was good enough for this step too"),
        pytest.param({**QUARTER, "percentile": 99}, curve(0.11), False, id="better than the worst one, where that is enough"),
        pytest.param({"pruner": "median"}, curve(0.3), False, id="at the median"),
        pytest.param({"pruner": "median"}, curve(0.29), True, id="below the median"),
        pytest.param({"pruner": "median", "percentile": 1}, curve(0.3), False, id="at the median, whatever percentile says"),
        pytest.param({**QUARTER, "startupTrials": 6}, curve(0.0), False, id="one of the first, with which none is compared"),
        pytest.param({**QUARTER, "warmupSteps": 2}, curve(0.0), False, id="not warm yet"),
        pytest.param({**QUARTER, "warmupSteps": 1}, curve(0.0), True, id="warm, and behind"),
        pytest.param(QUARTER, curve(math.nan), True, id="without a number to show"),
        pytest.param(QUARTER, curve(0.0, first=0), False, id="at a step that no other reported by then"),
        pytest.param({**QUARTER, "patience": 1}, curve(0.1, 0.2), False, id="behind, but still better than before"),
        pytest.param({**QUARTER, "patience": 1}, curve(0.1, 0.1), True, id="behind, and no better than before"),
        pytest.param({**QUARTER, "patience": 1}, curve(0.9, 0.9), False, id="no better than before, but good"),
    ],
)
def test_a_trial_is_hopeless_when_it_is(pruning: dict[str, Any], reports: dict[int, float], hopeless: bool) -> None:  # noqa: FBT001
    assert pruned(study(pruning, complete=COMPLETED, running=[reports])) == ([5] if hopeless else [])


def test_of_losses_the_small_ones_are_good() -> None:
    facts = study(QUARTER, complete=COMPLETED, running=[curve(0.2), curve(0.21)], direction="minimize")
    assert pruned(facts) == [6]


def test_folds_are_compared_with_equal_folds() -> None:
    fold = 1_000_000
    complete = [{1: 0.9, fold + 1: value} for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    running = [{1: 0.9, fold + 1: 0.3}, {1: 0.9, fold + 1: 0.29}]
    assert pruned(study({"pruner": "median"}, complete=complete, running=running, validation={"folds": 2})) == [6]
    assert pruned(study({"pruner": "median"}, complete=complete, running=running)) == [], "without folds it is one long curve"


directions: st.SearchStrategy[Direction] = st.sampled_from(get_args(Direction))


def rising(steps: int) -> st.SearchStrategy[list[float]]:
    """Curves on which a value is the best so far: there Optuna's rule, which compares that with single values, is ours."""
    return st.lists(st.floats(-100, 100), min_size=steps, max_size=steps).map(sorted)


@settings(deadline=None)
@given(
    data=st.data(),
    steps=st.integers(1, 4),
    percentile=st.integers(1, 99),
    startup=st.integers(1, 4),
    warmup=st.integers(0, 3),
    direction=directions,
)
def test_on_rising_curves_optuna_decides_the_same(
    *, data: st.DataObject, steps: int, percentile: int, startup: int, warmup: int, direction: Direction
) -> None:
    complete = data.draw(st.lists(rising(steps), max_size=6))
    mine = data.draw(rising(steps))
    sign = 1.0 if direction == "maximize" else -1.0
    curves = [curve(*(sign * value for value in values)) for values in (*complete, mine)]
    theirs = optuna.create_study(direction=direction)
    for reports in curves[:-1]:
        theirs.add_trial(optuna.trial.create_trial(value=0.0, intermediate_values=reports))
    frozen = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=curves[-1])
    pruner = optuna.pruners.PercentilePruner(percentile, n_startup_trials=startup, n_warmup_steps=warmup)
    ours = {"pruner": "percentile", "percentile": percentile, "startupTrials": startup, "warmupSteps": warmup}
    facts = study(ours, complete=curves[:-1], running=curves[-1:], direction=direction)
    assert bool(pruned(facts)) == pruner.prune(theirs, frozen)

"""Whom pruning concerns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, get_args

import pytest
from tests.unit.engine.pruning.curves import pruned, study

from tuning_operator.api.pruning import PrunerName
from tuning_operator.engine.facts import Role, StopReason

FOLD: Final = 1_000_000
PRUNERS: Final[dict[PrunerName, dict[str, Any]]] = {
    "auto": {"maxResource": 27},
    "median": {},
    "percentile": {"percentile": 25},
    "asha": {"maxResource": 27},
    "hyperband": {"maxResource": 27},
    "patient": {"patience": 1},
    "threshold": {"lower": 0.5},
    "folds": {},
}
GOOD: Final = [
    {3: first, FOLD + 3: second} for first, second in [(0.90, 0.91), (0.91, 0.90), (0.89, 0.90), (0.90, 0.90), (0.90, 0.89)]
]
HOPELESS: Final = {3: 0.1, 4: 0.1, FOLD + 3: 0.1, FOLD + 4: 0.1}


def test_every_pruner_is_tried_here() -> None:
    assert {*PRUNERS, "none"} == set(get_args(PrunerName))


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_search_trial_is_pruned_once_and_a_baseline_run_never(pruner: PrunerName) -> None:
    facts = study({"pruner": pruner, **PRUNERS[pruner]}, complete=GOOD, running=[HOPELESS], validation={"folds": 2})
    trial = facts.trial(5)
    assert pruned(facts) == [5]
    asked = replace(trial, attempts=(replace(trial.last, stop_reason=StopReason.PRUNED),))
    assert pruned(facts.with_trial(asked)) == [], "it has been asked already"
    assert pruned(facts.with_trial(replace(trial, role=Role.BASELINE))) == []


def test_nothing_is_pruned_without_a_pruner() -> None:
    assert pruned(study({}, complete=GOOD, running=[HOPELESS], validation={"folds": 2})) == []

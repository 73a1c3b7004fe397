"""Which pruner a number of trials gets, and why."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.studies import study_spec

from tuning_operator.api.pruning import Pruning
from tuning_operator.engine.policies.pruning.auto import PrunerChoice, choose
from tuning_operator.engine.policies.pruning.rungs import first_rung


def chosen(trials: int, length: int = 27, **spec: Any) -> PrunerChoice:
    return choose(study_spec(budget={"maxTrials": trials}, pruning={"pruner": "auto", "maxResource": length}, **spec))


@pytest.mark.parametrize(
    ("trials", "length", "pruning", "reason"),
    [
        (9, 27, Pruning(), "9 trials: too few to compare their curves, so none is pruned"),
        (10, 27, Pruning(pruner="median", warmup_steps=3), "10 trials: too few for rungs, enough for a median, from step 3 on"),
        (29, 5, Pruning(pruner="median", warmup_steps=1), "29 trials: too few for rungs, enough for a median, from step 1 on"),
        (
            30,
            100,
            Pruning(pruner="asha", max_resource=100),
            "30 trials: of every 3 at a rung one goes on, first at step 12 of 100",
        ),
    ],
)
def test_so_many_trials_get(trials: int, length: int, pruning: Pruning, reason: str) -> None:
    assert chosen(trials, length) == PrunerChoice(pruning=pruning, reason=reason)


def test_the_first_rung_is_the_one_that_the_reason_names() -> None:
    assert first_rung(chosen(30, 100).pruning) == 12


def test_few_trials_with_folds_are_compared_by_folds() -> None:
    choice = chosen(9, validation={"folds": 5})
    assert choice.pruning.pruner == "folds"
    assert choice.reason == "9 trials: too few to compare their curves, so only whole folds are compared"


def test_what_the_manifest_says_is_taken() -> None:
    spec = study_spec(pruning={"pruner": "median", "startupTrials": 7})
    assert choose(spec) == PrunerChoice(pruning=spec.pruning, reason="as the manifest says")


def test_a_training_of_one_step_has_no_rung() -> None:
    assert chosen(30, 1).pruning.pruner == "asha"

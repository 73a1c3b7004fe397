"""The generalization gap of large batches, seen in two trials of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.engine.facts import Outcome, Role, StudyFacts
from tuning_operator.engine.generalization import large_batch_gap
from tuning_operator.engine.status import project

SPACE: list[dict[str, Any]] = [
    {"name": "batch_size", "int": {"min": 16, "max": 1024, "default": 64}},
    {"name": "learning_rate", "float": {"min": 1e-4, "max": 1.0, "default": 0.1}},
]


@dataclass(frozen=True)
class Run:
    batch_size: int
    value: float
    train_loss: float | None = 0.1
    learning_rate: float = 0.1


def studied(runs: Sequence[Run], *, baseline: Sequence[float] = (0.89, 0.90, 0.91), **spec: Any) -> StudyFacts:
    """A study that has ended with these search trials; its baseline deviates by 0.01."""
    world = SimulatedWorld(
        spec=study_spec(
            parameters=SPACE, baseline={"repeats": len(baseline)}, budget={"maxTrials": len(runs), "parallelism": 1}, **spec
        )
    )
    defaults, searched = iter(baseline), iter(runs)
    while not world.facts.finished_at:
        world.settle()
        for trial in world.facts.live:
            if trial.role is Role.BASELINE:
                world.end(trial.number, Outcome.SUCCEEDED, value=next(defaults), train_loss=0.1)
                continue
            run = next(searched)
            parameters = {"batch_size": run.batch_size, "learning_rate": run.learning_rate}
            world.facts = world.facts.with_trial(replace(trial, parameters=parameters))
            world.end(trial.number, Outcome.SUCCEEDED, value=run.value, train_loss=run.train_loss)
        world.settle()
    return world.facts


def test_a_gap_is_told_with_the_trial_that_shows_it() -> None:
    facts = studied([Run(32, 0.93), Run(512, 0.90), Run(1024, 0.89, 0.104)])
    found = large_batch_gap(facts)
    assert found is not None
    assert (found.trials, found.example) == (2, 4)
    assert found.diagnosis.figure == pytest.approx(3.0)
    assert found.diagnosis.advice.startswith("batch_size 512 learns the training rows as well as 32 in trial 3,")
    assert [(named.name, named.trials) for named in project(facts, 0.0).diagnoses] == [("large-batch-gap", 2)]


def test_where_less_is_better_more_is_worse() -> None:
    loss = [{"metric": "val_accuracy", "direction": "minimize"}]
    assert large_batch_gap(studied([Run(32, 0.90), Run(512, 0.93)], objectives=loss)) is not None
    assert large_batch_gap(studied([Run(32, 0.93), Run(512, 0.90)], objectives=loss)) is None


WITHOUT: dict[str, StudyFacts] = {
    "the objective is worse by less than two deviations": studied([Run(32, 0.919), Run(512, 0.90)]),
    "large batches are the better ones": studied([Run(32, 0.90), Run(512, 0.93)]),
    "training was not learnt alike": studied([Run(32, 0.93), Run(512, 0.90, 0.12)]),
    "something else differs too": studied([Run(32, 0.93), Run(512, 0.90, learning_rate=0.2)]),
    "nothing says how training went": studied([Run(32, 0.93, None), Run(512, 0.90, None)]),
    "the spread of the defaults is not known": studied([Run(32, 0.93), Run(512, 0.90)], baseline=[0.9]),
    "the defaults do not spread": studied([Run(32, 0.93), Run(512, 0.90)], baseline=[0.9, 0.9]),
    "the study has not ended": replace(studied([Run(32, 0.93), Run(512, 0.90)]), verdict=None),
}


@pytest.mark.parametrize("facts", WITHOUT.values(), ids=WITHOUT.keys())
def test_there_is_no_gap_when(facts: StudyFacts) -> None:
    assert large_batch_gap(facts) is None


def test_batch_sizes_that_are_words_are_not_compared() -> None:
    facts = studied([Run(32, 0.93), Run(512, 0.90)])
    in_words = {32: "small", 512: "large"}
    trials = [
        replace(trial, parameters={**trial.parameters, "batch_size": in_words.get(run, "usual")})
        for trial, run in ((trial, trial.parameters["batch_size"]) for trial in facts.trials)
        if isinstance(run, int)
    ]
    assert large_batch_gap(replace(facts, trials=tuple(trials))) is None

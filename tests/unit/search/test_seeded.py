"""Configurations that a user wants tried come first, whole, in their order and once; then the sampler goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from bench.search.simulation import End, Record, Simulation
from tests.unit.search.runs import ForgetfulSearcher, eventful
from tests.unit.search.spaces import COUNTABLE, EVERYTHING, problem

from tuning_operator.api.parameters import Parameter, Parameters, mismatch
from tuning_operator.api.seed_trials import SeedTrial, seed_configurations
from tuning_operator.api.study import SamplerName
from tuning_operator.engine.facts import Role
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Problem
from tuning_operator.search.replay import replay
from tuning_operator.search.searcher import Searcher

SAMPLERS: Final[list[SamplerName]] = ["random", "qmc", "tpe", "gp", "cmaes"]
WISHED: Final[list[SeedTrial]] = [{"learning_rate": 0.1}, {"optimizer": "sgd", "momentum": 0}]
COUNTABLE_WISHED: Final[list[SeedTrial]] = [{"layers": 7}, {"optimizer": "sgd"}]


def asked(sampler: SamplerName, space: tuple[Parameter, ...] = EVERYTHING) -> Problem:
    wished = WISHED if space is EVERYTHING else COUNTABLE_WISHED
    return replace(problem(space, sampler=sampler), seed_trials=seed_configurations(space, wished))


async def simulated(study: Problem, searcher: Searcher, trials: int = 16) -> Record:
    simulation = Simulation(searcher, study, eventful, seed=3, baseline=2)
    await simulation.until(trials)
    return simulation.finish()


def searched(record: Record) -> list[Parameters]:
    return [trial.parameters for trial in record.trials if trial.role is Role.SEARCH]


def test_what_is_not_wished_is_at_its_default_and_what_is_inactive_is_absent() -> None:
    first, second = seed_configurations(EVERYTHING, WISHED)
    assert first == {"learning_rate": 0.1, "batch_size": 64, "optimizer": "adam", "dropout": 0.0, "layers": 4}
    assert second == {"learning_rate": 1e-3, "batch_size": 64, "optimizer": "sgd", "momentum": 0.0, "dropout": 0.0, "layers": 4}
    assert isinstance(second["momentum"], float)


@pytest.mark.parametrize("sampler", SAMPLERS)
async def test_seed_trials_come_first_and_a_replay_knows_them(sampler: SamplerName) -> None:
    study = asked(sampler)
    record = await simulated(study, InlineSearcher())
    parameters = searched(record)
    assert tuple(parameters[:2]) == study.seed_trials
    assert all(mismatch(EVERYTHING, each) is None for each in parameters)
    assert replay(study, record.events, record.trials) is None
    forgetful = await simulated(study, ForgetfulSearcher())
    assert searched(forgetful) == parameters


@pytest.mark.parametrize("sampler", ["grid", "qmc", "random"])
async def test_in_a_finite_space_seed_trials_do_not_come_again(sampler: SamplerName) -> None:
    study = asked(sampler, COUNTABLE)
    parameters = searched(await simulated(study, InlineSearcher(), 60))
    assert tuple(parameters[:2]) == study.seed_trials
    assert len(parameters) == 2 * 3 * 3
    assert all(parameters.count(each) == 1 for each in parameters)


async def test_a_sequence_begins_at_its_beginning_after_the_seed_trials() -> None:
    study = asked("qmc")

    def end(_number: int, _parameters: Parameters) -> End:
        return End(value=0.0)

    seeded = await Simulation(InlineSearcher(), study, end, seed=1).until(6)
    plain = await Simulation(InlineSearcher(), replace(study, seed_trials=()), end, seed=1).until(4)
    assert searched(seeded)[2:] == searched(plain)

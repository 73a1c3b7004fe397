from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from bench.search.simulation import Record, Simulation
from tests.unit.search.runs import ForgetfulSearcher, eventful
from tests.unit.search.spaces import COUNTABLE, EVERYTHING, problem

from tuning_operator.api.study import SamplerName
from tuning_operator.engine.facts import Role
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Problem
from tuning_operator.search.replay import Difference, replay
from tuning_operator.search.searcher import Searcher

SAMPLERS: Final[list[SamplerName]] = ["random", "grid", "qmc", "tpe", "gp", "cmaes"]


def asked(sampler: SamplerName) -> Problem:
    return problem(COUNTABLE if sampler == "grid" else EVERYTHING, sampler=sampler)


async def simulated(sampler: SamplerName, searcher: Searcher) -> Record:
    """Two baseline trials, then four trials at once that end out of order; some fail, some are pruned."""
    simulation = Simulation(searcher, asked(sampler), eventful, seed=3, baseline=2)
    await simulation.until(22)
    return simulation.finish()


@pytest.mark.parametrize("sampler", SAMPLERS)
async def test_a_parallel_study_asked_again_from_its_log_gives_the_same_parameters(sampler: SamplerName) -> None:
    record = await simulated(sampler, InlineSearcher())
    told = [event.trial for event in record.events if event.kind == "tell"]
    assert told != sorted(told), "completions must come out of order for this to say anything"
    assert replay(asked(sampler), record.events, record.trials) is None


@pytest.mark.parametrize("sampler", SAMPLERS)
async def test_a_searcher_that_rebuilds_its_history_each_time_gives_the_same_parameters(sampler: SamplerName) -> None:
    forgetful, inline = await simulated(sampler, ForgetfulSearcher()), await simulated(sampler, InlineSearcher())
    assert [trial.parameters for trial in forgetful.trials] == [trial.parameters for trial in inline.trials]


async def test_a_grid_study_ends_after_its_last_configuration() -> None:
    record = await simulated("grid", InlineSearcher())
    search = [trial.parameters for trial in record.trials if trial.role is Role.SEARCH]
    assert len(search) == 2 * 3 * 3
    assert all(search.count(parameters) == 1 for parameters in search)


async def test_claims_of_baseline_trials_may_be_missing_from_the_log() -> None:
    record = await simulated("tpe", InlineSearcher())
    events = [event for event in record.events if event.kind == "tell" or event.trial > 1]
    assert replay(asked("tpe"), events, record.trials) is None


async def test_a_replay_names_the_first_parameter_that_differs() -> None:
    record = await simulated("tpe", InlineSearcher())
    trials = list(record.trials)
    for number in (20, 17):
        trials[number] = replace(trials[number], parameters={**trials[number].parameters, "batch_size": 17})
    assert replay(asked("tpe"), record.events, trials) == Difference(
        trial=17, parameter="batch_size", recorded=17, replayed=record.trials[17].parameters["batch_size"]
    )


async def test_a_replay_in_another_order_of_results_differs() -> None:
    record = await simulated("tpe", InlineSearcher())
    asks = [event for event in record.events if event.kind == "ask"]
    tells = [event for event in record.events if event.kind == "tell"]
    assert replay(asked("tpe"), [*asks[:16], *tells[:4], *asks[16:]], record.trials) is not None


async def test_a_replay_under_another_seed_differs_at_the_first_search_trial() -> None:
    record = await simulated("random", InlineSearcher())
    difference = replay(replace(asked("random"), seed=8), record.events, record.trials)
    assert difference is not None
    assert difference.trial == 2

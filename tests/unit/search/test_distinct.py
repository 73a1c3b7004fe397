"""In a finite space every configuration comes once, whatever the sampler, and then the search is over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.search.simulation import End, Simulation
from tests.unit.search.runs import ForgetfulSearcher, trial
from tests.unit.search.spaces import BATCH, COUNTABLE, OPTIMIZER, RATE, problem, space

from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import SamplerName
from tuning_operator.engine.facts import Role
from tuning_operator.search import discrete, distinct
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Exhausted, Suggestion
from tuning_operator.search.replay import replay

TWELVE = space({"name": "layers", "int": {"min": 1, "max": 6, "default": 2}}, OPTIMIZER)
MODELS: list[SamplerName] = ["tpe", "gp", "cmaes"]
EVERY: list[SamplerName] = ["random", "grid", "qmc", *MODELS]


def score(_number: int, parameters: Parameters) -> End:
    return End(value=float(parameters["layers"]))


@pytest.mark.parametrize("sampler", EVERY)
async def test_a_space_of_twelve_points_is_exhausted_after_twelve_different_trials(sampler: SamplerName) -> None:
    asked = problem(TWELVE, sampler=sampler)
    simulation = Simulation(InlineSearcher(), asked, score, seed=3, baseline=2)
    await simulation.until(50)
    record = simulation.finish()
    search = [each.parameters for each in record.trials if each.role is Role.SEARCH]
    assert len(search) == 12
    assert all(search.count(parameters) == 1 for parameters in search)
    assert replay(asked, record.events, record.trials) is None


@pytest.mark.parametrize("sampler", ["random", *MODELS])
async def test_what_is_left_does_not_depend_on_what_a_process_remembers(sampler: SamplerName) -> None:
    asked = problem(TWELVE, sampler=sampler)
    rebuilt, kept = [
        await Simulation(searcher, asked, score, seed=3).until(50) for searcher in (ForgetfulSearcher(), InlineSearcher())
    ]
    assert [each.parameters for each in rebuilt.trials] == [each.parameters for each in kept.trials]


@pytest.mark.parametrize("sampler", EVERY)
def test_an_exhausted_search_stays_so(sampler: SamplerName) -> None:
    asked, searcher = problem(COUNTABLE, sampler=sampler), InlineSearcher()
    trials = [trial(n, each) for n, each in enumerate(discrete.combinations(COUNTABLE, discrete.values))]
    assert [searcher.ask_now(asked, trials, len(trials)) for _ in range(2)] == [Exhausted(), Exhausted()]


def test_runs_of_the_baseline_do_not_take_a_configuration_away() -> None:
    asked = problem(TWELVE, sampler="random")
    trials = [trial(n, each) for n, each in enumerate(discrete.combinations(TWELVE, discrete.values))]
    trials[7] = replace(trials[7], role=Role.BASELINE)
    assert InlineSearcher().ask_now(asked, trials, 12) == Suggestion(trials[7].parameters)


def test_of_an_infinite_space_nothing_is_remembered() -> None:
    assert distinct.tried(problem(space(RATE, OPTIMIZER)), [trial(0, {"learning_rate": 0.01})]) == []


def test_a_whole_number_on_a_log_scale_has_values_that_end() -> None:
    wide = problem(space(BATCH), sampler="random")
    assert len(distinct.left(wide, [{"batch_size": 16}, {"batch_size": 256}])) == 241 - 2


def test_a_draw_that_is_known_gives_way_to_the_next() -> None:
    asked = problem(TWELVE)
    one: Parameters = {"layers": 1, "optimizer": "sgd"}
    two: Parameters = {"layers": 2, "optimizer": "sgd"}
    assert distinct.first_new(asked, 0, iter([one, two, one, one]), [one]) == two


def test_after_a_few_known_draws_any_of_what_is_left_is_drawn() -> None:
    asked = problem(TWELVE)
    every = list(discrete.combinations(TWELVE, discrete.values))
    drawn = [distinct.first_new(asked, number, iter([every[0]] * 9), every[:-2]) for number in range(20)]
    assert all(each in every[-2:] for each in drawn)
    assert drawn.count(every[-1]) not in (0, 20)

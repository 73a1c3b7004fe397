from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.unit.search.spaces import BATCH, COUNTABLE, MOMENTUM, OPTIMIZER, RATE, problem, space, spaces

from tuning_operator.api.grid import size
from tuning_operator.api.parameters import Parameter, Parameters, mismatch
from tuning_operator.search import grid

CONDITIONAL = space(OPTIMIZER, MOMENTUM)


def answers(parameters: tuple[Parameter, ...], seed: int = 7) -> list[Parameters]:
    asked = replace(problem(parameters, sampler="grid", seed=seed), grid_points=3)
    return list(grid.block(asked, 0, size(parameters, 3)))


def test_an_inactive_parameter_does_not_multiply_the_grid() -> None:
    assert list(grid.configurations(CONDITIONAL, 3)) == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "momentum": 0.495},
        {"optimizer": "sgd", "momentum": 0.99},
    ]


@settings(deadline=None)
@given(parameters=spaces().filter(lambda parameters: size(parameters, 3) <= 2000))
def test_the_grid_has_each_configuration_once_and_as_many_as_announced(parameters: tuple[Parameter, ...]) -> None:
    configurations = list(grid.configurations(parameters, 3))
    assert len(configurations) == size(parameters, 3)
    assert len({tuple(sorted(configuration.items())) for configuration in configurations}) == len(configurations)
    assert all(mismatch(parameters, configuration) is None for configuration in configurations)


def test_every_configuration_is_given_once_and_nothing_behind_the_last() -> None:
    suggested = answers(COUNTABLE)
    in_order = list(grid.configurations(COUNTABLE, 3))
    assert suggested != in_order
    assert sorted(suggested, key=repr) == sorted(in_order, key=repr)
    asked = problem(COUNTABLE, sampler="grid")
    assert grid.block(asked, len(in_order) - 1, 64) == (suggested[-1],)
    assert grid.block(asked, len(in_order), 64) == ()


def test_the_order_depends_on_the_seed_alone() -> None:
    assert answers(COUNTABLE) == answers(COUNTABLE)
    assert answers(COUNTABLE, seed=8) != answers(COUNTABLE)


def test_a_grid_too_large_for_any_budget_is_refused() -> None:
    parameters = space(*({**RATE, "name": f"rate_{number}"} for number in range(6)), BATCH)
    with pytest.raises(ValueError, match=r"more than 100,000 configurations; lower search\.gridPoints"):
        grid.block(replace(problem(parameters, sampler="grid"), grid_points=10), 0, 1)

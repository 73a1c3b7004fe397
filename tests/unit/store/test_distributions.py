"""Parameters are stored in the words of the real `optuna.distributions`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from pydantic import ValidationError

from tuning_operator.api.parameters import CategoricalChoices, Domain, FloatRange, IntRange
from tuning_operator.store.distributions import distribution_json, stored_value, value_reader


def built(model: Callable[..., Domain], **fields: Any) -> Domain:
    try:
        return model(**fields)
    except ValidationError:
        assume(condition=False)
        raise


def of_optuna(domain: Domain) -> BaseDistribution:
    with warnings.catch_warnings():
        # Optuna warns that it moves a bound onto the grid of steps.
        warnings.simplefilter("ignore", UserWarning)
        match domain:
            case FloatRange():
                return FloatDistribution(domain.min, domain.max, log=domain.scale == "log", step=domain.step)
            case IntRange():
                return IntDistribution(domain.min, domain.max, log=domain.scale == "log", step=domain.step or 1)
            case CategoricalChoices():
                return CategoricalDistribution(domain.choices)


numbers = st.floats(-1e9, 1e9) | st.floats(1e-12, 1.0) | st.decimals(-100, 100, places=3).map(float)
float_ranges = st.builds(
    lambda bounds, scale, step: built(FloatRange, min=bounds[0], max=bounds[1], scale=scale, step=step),
    st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted),
    st.sampled_from(["linear", "log"]),
    st.none() | st.decimals("0.001", 10, places=3).map(float),
)
int_ranges = st.builds(
    lambda bounds, scale, step: built(IntRange, min=bounds[0], max=bounds[1], scale=scale, step=step),
    st.lists(st.integers(-(2**53), 2**53), min_size=2, max_size=2, unique=True).map(sorted),
    st.sampled_from(["linear", "log"]),
    st.none() | st.integers(1, 1000),
)
choices = st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6, unique=True).map(
    lambda words: built(CategoricalChoices, choices=tuple(words))
)


@given(domain=float_ranges | int_ranges | choices)
def test_a_distribution_has_the_text_that_optuna_would_give_it(domain: Domain) -> None:
    assert distribution_json(domain) == distribution_to_json(of_optuna(domain))


@given(domain=int_ranges | choices, data=st.data())
def test_a_stored_value_is_optunas_and_comes_back_with_its_type(
    domain: IntRange | CategoricalChoices, data: st.DataObject
) -> None:
    value: int | str
    if isinstance(domain, IntRange):
        value = domain.min + (domain.step or 1) * data.draw(st.integers(0, (domain.max - domain.min) // (domain.step or 1)))
    else:
        value = data.draw(st.sampled_from(domain.choices))
    stored = stored_value(domain, value)
    assert stored == of_optuna(domain).to_internal_repr(value)
    read = value_reader(distribution_json(domain))(stored)
    assert (type(read), read) == (type(value), value)


@given(domain=float_ranges, share=st.floats(0, 1))
def test_a_stored_float_comes_back_bit_for_bit(domain: FloatRange, share: float) -> None:
    value = domain.min + share * (domain.max - domain.min)
    assert value_reader(distribution_json(domain))(stored_value(domain, value)) == value


def test_a_distribution_of_another_program_is_refused() -> None:
    with pytest.raises(ValueError, match="LogUniformDistribution was not written by this program"):
        value_reader('{"name": "LogUniformDistribution", "attributes": {"low": 1.0, "high": 2.0}}')

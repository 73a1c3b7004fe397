from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as scipy_t

from tuning_operator.engine.student import t_cdf, t_quantile


@given(t=st.floats(-1e4, 1e4), df=st.one_of(st.integers(1, 300), st.floats(0.5, 1e5)))
def test_it_is_the_distribution_that_scipy_has(t: float, df: float) -> None:
    assert t_cdf(t, df) == pytest.approx(scipy_t.cdf(t, df), rel=1e-8, abs=1e-300)


def test_of_the_known_quantiles_it_gives_the_probabilities() -> None:
    assert t_cdf(1.0, 1) == pytest.approx(0.75, abs=1e-15)  # Cauchy's distribution
    assert t_cdf(12.706204736, 1) == pytest.approx(0.975, abs=1e-10)
    assert t_cdf(2.228138852, 10) == pytest.approx(0.975, abs=1e-10)


def test_it_is_symmetric_and_goes_from_0_to_1() -> None:
    assert t_cdf(0.0, 4) == 0.5
    assert t_cdf(-1.5, 4) + t_cdf(1.5, 4) == pytest.approx(1.0, abs=1e-15)
    assert (t_cdf(-math.inf, 4), t_cdf(math.inf, 4)) == (0.0, 1.0)


@given(probability=st.floats(0.001, 0.999), df=st.integers(1, 300))
def test_its_quantiles_are_those_that_scipy_has(probability: float, df: int) -> None:
    assert t_quantile(probability, df) == pytest.approx(scipy_t.ppf(probability, df), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("probability", [0.0, 1.0, math.nan])
def test_there_is_no_quantile_of_what_is_no_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        t_quantile(probability, 4)

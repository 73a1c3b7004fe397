from __future__ import annotations

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from tests.unit.search.spaces import space, spaces

from tuning_operator.api.parameters import Parameter, ParameterValue
from tuning_operator.search import discrete, points
from tuning_operator.search.space import decode, distribution, encode


@given(parameters=spaces(), share=st.floats(0, 1, exclude_max=True))
def test_a_value_survives_the_way_to_optuna_and_back(parameters: tuple[Parameter, ...], share: float) -> None:
    for parameter in parameters:
        value = points.quantile(parameter, share)
        assert decode(parameter, encode(parameter, value)) == value


@given(parameters=spaces(), share=st.floats(0, 1, exclude_max=True))
def test_every_quantile_is_a_value_of_the_parameter(parameters: tuple[Parameter, ...], share: float) -> None:
    for parameter in parameters:
        assert parameter.domain.contains(points.quantile(parameter, share))


@given(parameters=spaces(), share=st.floats(0, 1, exclude_max=True))
def test_what_optuna_holds_lies_in_its_distribution(parameters: tuple[Parameter, ...], share: float) -> None:
    for parameter in parameters:
        asked = distribution(parameter)
        internal = asked.to_internal_repr(encode(parameter, points.quantile(parameter, share)))
        assert asked._contains(internal)


FLOAT = space({"name": "x", "float": {"min": 0.1, "max": 1.0, "scale": "log"}})[0]
STEPPED = space({"name": "x", "float": {"min": 0.1, "max": 1.0, "step": 0.1}})[0]
UNEVEN = space({"name": "x", "float": {"min": 0.0, "max": 1.0, "step": 0.3}})[0]
INT = space({"name": "x", "int": {"min": 3, "max": 10, "step": 4}})[0]
LOG_INT = space({"name": "x", "int": {"min": 1, "max": 8, "scale": "log"}})[0]


@pytest.mark.parametrize(
    ("parameter", "said", "value"),
    [
        pytest.param(FLOAT, 0.1 - 1e-17, 0.1, id="an ulp below the range is its end"),
        pytest.param(FLOAT, 1.0000000000000002, 1.0, id="an ulp above the range is its end"),
        pytest.param(STEPPED, 2, 0.3, id="three tenths are 0.3 and not 0.30000000000000004"),
        pytest.param(UNEVEN, 3, 0.9, id="a step that does not divide the range ends below its max"),
        pytest.param(UNEVEN, 3.4, 0.9, id="a continuous stand-in is rounded to the last step"),
        pytest.param(INT, 1, 7, id="an int with a step is counted in steps"),
        pytest.param(LOG_INT, 7.6, 8, id="an int on a log scale is rounded"),
    ],
)
def test_what_a_sampler_says_becomes_a_value(parameter: Parameter, said: float, value: ParameterValue) -> None:
    assert decode(parameter, said) == value


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        pytest.param({"min": 1, "max": 100}, IntDistribution, id="a hundred values are listed"),
        pytest.param({"min": 0, "max": 100}, FloatDistribution, id="more are continuous to samplers"),
        pytest.param({"min": 1, "max": 10**9, "scale": "log"}, FloatDistribution, id="on a log scale too"),
    ],
)
def test_large_ints_are_continuous_to_samplers(domain: dict[str, int], kind: type) -> None:
    assert isinstance(distribution(space({"name": "x", "int": domain})[0]), kind)


def test_optuna_still_lists_every_value_of_a_discrete_parameter() -> None:
    """Why large ints are continuous. When this fails, they no longer need to be."""
    from optuna._gp.search_space import SearchSpace  # noqa: PLC0415

    listed = SearchSpace({"x": optuna.distributions.IntDistribution(1, 5000)}).get_choices_of_discrete_params()
    assert len(listed[0]) == 5000


@pytest.mark.parametrize(
    ("parameter", "share", "value"),
    [
        pytest.param(LOG_INT, 0.0, 1, id="the lowest share is the smallest value"),
        pytest.param(LOG_INT, 1 - 1e-12, 8, id="the highest share is the largest value"),
        pytest.param(FLOAT, 0.5, 10**-0.5, id="half of a log range is its geometric middle"),
        pytest.param(INT, 0.49, 3, id="each value of a discrete range owns an equal share"),
    ],
)
def test_quantiles(parameter: Parameter, share: float, value: float) -> None:
    assert points.quantile(parameter, share) == pytest.approx(value)


def test_counts() -> None:
    assert [discrete.size(parameter) for parameter in (FLOAT, STEPPED, UNEVEN, INT, LOG_INT)] == [None, 10, 4, 2, 8]

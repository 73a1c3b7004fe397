from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.unit.api.manifests import parameter_documents, space

from tuning_operator.api.domains import CategoricalChoices, Domain, FloatRange, IntRange, ParameterValue
from tuning_operator.api.parameters import Parameters, at_defaults, defaults, mismatch

OPTIMIZER = {"name": "optimizer", "categorical": {"choices": ["adam", "sgd"], "default": "adam"}}
MOMENTUM = {
    "name": "momentum",
    "categorical": {"choices": ["plain", "nesterov"]},
    "when": [{"parameter": "optimizer", "values": ["sgd"]}],
}
DAMPENING = {
    "name": "dampening",
    "float": {"min": 0, "max": 1},
    "when": [{"parameter": "optimizer", "values": ["sgd", "adam"]}, {"parameter": "momentum", "values": ["plain"]}],
}
NESTED = space(OPTIMIZER, MOMENTUM, DAMPENING)


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        pytest.param(FloatRange(min=0, max=1), 0.0, True, id="the lower end of floats is included"),
        pytest.param(FloatRange(min=0, max=1), 1, True, id="a whole number may be a float"),
        pytest.param(FloatRange(min=0, max=1), 1.0000001, False, id="beyond the upper end is outside"),
        pytest.param(FloatRange(min=0, max=1), float("nan"), False, id="nan is no value"),
        pytest.param(FloatRange(min=0, max=1), True, False, id="a truth is no float"),
        pytest.param(FloatRange(min=0, max=1), "0.5", False, id="a word is no float"),
        pytest.param(FloatRange(min=0, max=1, step=0.1), 0.1 * 3, True, id="a step is met but for rounding"),
        pytest.param(FloatRange(min=0, max=1, step=0.1), 0.35, False, id="half a step is outside"),
        pytest.param(IntRange(min=1, max=9, step=4), 5, True, id="a whole step is met"),
        pytest.param(IntRange(min=1, max=9, step=4), 4, False, id="between whole steps is outside"),
        pytest.param(IntRange(min=1, max=9), 10, False, id="beyond the upper end of ints is outside"),
        pytest.param(IntRange(min=1, max=9), 2.0, False, id="a float is no int"),
        pytest.param(IntRange(min=0, max=9), True, False, id="a truth is no int"),
        pytest.param(CategoricalChoices(choices=("8", "16")), "8", True, id="a choice is a word"),
        pytest.param(CategoricalChoices(choices=("8", "16")), 8, False, id="a number is no choice"),
    ],
)
def test_a_domain_knows_its_values(domain: Domain, value: ParameterValue, *, expected: bool) -> None:
    assert domain.contains(value) is expected


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (FloatRange(min=1e-5, max=1), "within 1e-05 .. 1"),
        (FloatRange(min=0, max=1, step=0.25), "within 0 .. 1 in steps of 0.25"),
        (IntRange(min=1, max=9, step=4), "within 1 .. 9 in steps of 4"),
        (CategoricalChoices(choices=("adam", "sgd")), "one of adam, sgd"),
    ],
)
def test_a_domain_describes_itself(domain: Domain, words: str) -> None:
    assert domain.describe() == words


@pytest.mark.parametrize(
    ("values", "names"),
    [
        pytest.param({}, ["optimizer"], id="a child of nothing is inactive"),
        pytest.param({"optimizer": "adam"}, ["optimizer"], id="a child of an inactive parent is inactive"),
        pytest.param({"optimizer": "sgd"}, ["optimizer", "momentum"], id="one condition of two is not enough"),
        pytest.param({"optimizer": "sgd", "momentum": "plain"}, ["optimizer", "momentum", "dampening"], id="all conditions hold"),
    ],
)
def test_a_parameter_is_active_when_all_its_conditions_hold(values: Parameters, names: list[str]) -> None:
    assert [parameter.name for parameter in NESTED if parameter.active(values)] == names


def test_the_baseline_leaves_out_what_the_defaults_make_inactive() -> None:
    assert defaults(NESTED) == {"optimizer": "adam"}


def test_an_active_parameter_without_default_has_no_baseline() -> None:
    parameters = space(OPTIMIZER, {"name": "width", "int": {"min": 1, "max": 2}})
    with pytest.raises(ValueError, match="parameter width has no default"):
        defaults(parameters)
    assert at_defaults(parameters) == ({"optimizer": "adam"}, (parameters[1],))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({"optimizer": "adam"}, None, id="a configuration"),
        pytest.param({}, "optimizer is missing", id="an active parameter is missing"),
        pytest.param({"optimizer": "adma"}, "optimizer = 'adma' is not one of adam, sgd", id="a value outside"),
        pytest.param({"optimizer": "adam", "momentum": "plain"}, "momentum is not an active parameter", id="an inactive one"),
        pytest.param({"optimizer": "adam", "width": 3}, "width is not an active parameter", id="an unknown one"),
    ],
)
def test_values_are_a_configuration_or_it_is_said_why_not(values: Parameters, reason: str | None) -> None:
    assert mismatch(NESTED, values) == reason


@settings(deadline=None)
@given(documents=parameter_documents())
def test_the_defaults_are_a_configuration_wherever_there_are_all(documents: list[dict[str, object]]) -> None:
    parameters = space(*documents)
    values, missing = at_defaults(parameters)
    assert missing or mismatch(parameters, values) is None

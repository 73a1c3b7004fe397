from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.unit.api.manifests import Document, parameter_documents, space

from tuning_operator.api.grid import level_count, levels, needs_points, size
from tuning_operator.api.parameters import Parameter, Parameters, ParameterValue

FEW = 2_000


def configurations(parameters: Sequence[Parameter], points: int, values: Parameters) -> Iterator[Parameters]:
    """Every configuration, one by one: slow, and plainly right."""
    if not parameters:
        yield values
    elif not parameters[0].active(values):
        yield from configurations(parameters[1:], points, values)
    else:
        for level in levels(parameters[0], points):
            yield from configurations(parameters[1:], points, {**values, parameters[0].name: level})


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        pytest.param({"categorical": {"choices": ["b", "a"]}}, ("b", "a"), id="choices in their order"),
        pytest.param({"int": {"min": 1, "max": 4}}, (1, 2, 3, 4), id="every whole number"),
        pytest.param({"int": {"min": 1, "max": 9, "step": 3}}, (1, 4, 7), id="steps that miss the upper end"),
        pytest.param({"int": {"min": 16, "max": 256, "scale": "log"}}, (16, 32, 64, 128, 256), id="powers of two"),
        pytest.param({"int": {"min": 1, "max": 3, "scale": "log"}}, (1, 2, 3), id="neighbours that round to one number"),
        pytest.param({"float": {"min": -1, "max": 1}}, (-1, -0.5, 0, 0.5, 1), id="even floats"),
        pytest.param({"float": {"min": 1e-5, "max": 0.1, "scale": "log"}}, (1e-5, 1e-4, 1e-3, 1e-2, 0.1), id="powers of ten"),
        pytest.param({"float": {"min": 0, "max": 0.4, "step": 0.1}}, (0, 0.1, 0.2, 0.3, 0.4), id="decimal steps without noise"),
        pytest.param({"float": {"min": 0, "max": 0.35, "step": 0.1}}, (0, 0.1, 0.2, 0.3), id="float steps that miss the end"),
    ],
)
def test_five_points_visit(domain: Document, expected: tuple[ParameterValue, ...]) -> None:
    (parameter,) = space({"name": "x", **domain})
    assert levels(parameter, 5) == expected


@pytest.mark.parametrize(
    ("domain", "needy"),
    [
        ({"float": {"min": 0, "max": 1}}, True),
        ({"float": {"min": 0, "max": 1, "step": 0.5}}, False),
        ({"int": {"min": 1, "max": 9, "scale": "log"}}, True),
        ({"int": {"min": 1, "max": 9}}, False),
        ({"categorical": {"choices": ["a", "b"]}}, False),
    ],
)
def test_only_a_range_without_steps_needs_points(domain: Document, *, needy: bool) -> None:
    (parameter,) = space({"name": "x", **domain})
    assert needs_points(parameter) is needy
    if needy:
        with pytest.raises(ValueError, match=r"parameter x needs search\.gridPoints"):
            levels(parameter, None)
    else:
        assert levels(parameter, None) == levels(parameter, 2)


@settings(deadline=None)
@given(documents=parameter_documents(), points=st.integers(2, 100))
def test_levels_are_values_of_the_domain_each_once_and_as_many_as_counted(documents: list[Document], points: int) -> None:
    for parameter in space(*documents):
        if level_count(parameter, points) <= FEW:
            visited = levels(parameter, points)
            assert all(parameter.domain.contains(value) for value in visited)
            assert len(set(visited)) == len(visited) == level_count(parameter, points)


@settings(deadline=None)
@given(documents=parameter_documents())
def test_the_size_is_the_number_of_configurations(documents: list[Document]) -> None:
    parameters = space(*documents)
    total = size(parameters, 2)
    assume(total <= FEW)
    assert sum(1 for _ in configurations(parameters, 2, {})) == total


def test_the_size_of_an_endless_range_is_known_at_once() -> None:
    wide = [{"name": f"x{place}", "int": {"min": 0, "max": 2**53 - 1}} for place in range(48)]
    assert size(space(*wide), None) == 2 ** (53 * 48)


def test_conditions_beyond_any_budget_are_not_counted_to_the_end() -> None:
    parents = [{"name": f"p{place}", "categorical": {"choices": [str(choice) for choice in range(32)]}} for place in range(24)]
    children = [
        {"name": f"c{place}", "int": {"min": 0, "max": 1}, "when": [{"parameter": f"p{place}", "values": ["0"]}]}
        for place in range(24)
    ]
    assert size(space(*parents, *children), None) > 10_000

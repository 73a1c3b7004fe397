"""Bodies decoded: whatever arrives is either points or a sentence."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_client._result import wire_value
from tuning_operator.gateway import Point, wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["points", "step", "value"]) | st.text(), inner),
    max_leaves=20,
)
STEPS = st.integers(0, wire.LARGEST_STEP)
POINTS = st.lists(st.builds(Point, step=STEPS, value=st.floats()), min_size=1, max_size=50)
STRANGE = st.none() | st.booleans() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
POINT_LIKE = st.fixed_dictionaries({"step": STEPS | STRANGE, "value": st.floats() | st.sampled_from(["nan", "-inf"]) | STRANGE})


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def is_number(value: object) -> bool:
    return type(value) in {int, float} or value in ("nan", "inf", "-inf")


@given(POINTS)
def test_what_the_client_sends_arrives_unchanged(points: list[Point]) -> None:
    body = json.dumps({"points": [{"step": point.step, "value": wire_value(point.value)} for point in points]}).encode()
    decoded = wire.decode_points(body)
    assert [point.step for point in decoded] == [point.step for point in points]
    assert all(same(left.value, right.value) for left, right in zip(decoded, points, strict=True))


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(wire.MalformedError) as refused:
        wire.decode_points(body)
    assert "; " in str(refused.value)
    assert len(str(refused.value)) < 300


def refusal(body: bytes) -> str | None:
    try:
        wire.decode_points(body)
    except wire.MalformedError as error:
        return str(error)
    return None


@given(st.lists(POINT_LIKE, min_size=1, max_size=5))
def test_a_point_is_right_or_named(points: list[dict[str, Any]]) -> None:
    body = json.dumps({"points": points}).encode()
    refused = refusal(body)
    right = all(type(point["step"]) is int and is_number(point["value"]) for point in points)
    assert (refused is None) == right
    assert refused is None or refused.startswith("points[")


def test_a_whole_number_beyond_all_floats_is_refused() -> None:
    with pytest.raises(wire.MalformedError, match=r"points\[0\]\.value is 1000"):
        wire.decode_points(b'{"points": [{"step": 0, "value": 1' + b"0" * 400 + b"}]}")


def test_a_whole_number_too_long_to_read_is_refused() -> None:
    with pytest.raises(wire.MalformedError, match="not JSON"):
        wire.decode_points(b'{"points": [{"step": 0, "value": ' + b"1" * 5000 + b"}]}")

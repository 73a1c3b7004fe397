"""Numbers and times as people write them."""

from __future__ import annotations

import pytest

from tuning_operator.api.parameters import ParameterValue
from tuning_operator.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0.00224312, "0.002243", id="four significant digits"),
        pytest.param(1e-6, "1e-6", id="a small power of ten without a padded exponent"),
        pytest.param(0.25, "0.25", id="no zeros at the end"),
        pytest.param(64, "64", id="a whole number stays whole"),
        pytest.param(123456, "123456", id="a large whole number is exact"),
        pytest.param(123456.7, "123,457", id="a large figure has no decimals"),
        pytest.param("adam", "adam", id="a word is itself"),
    ],
)
def test_a_value_is_written(value: ParameterValue, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("gain", "value", "text"),
    [
        pytest.param(0.035794, 0.9887, "0.0358", id="to the decimals of the value"),
        pytest.param(-0.02, 0.9, "\N{MINUS SIGN}0.0200", id="a loss has a true minus sign"),
        pytest.param(0.0000123, 0.9887, "1.23e-5", id="a gain below the value's last decimal is not written as zero"),
        pytest.param(0.0, 0.9, "0", id="nothing gained"),
        pytest.param(1234.5, 250000.0, "1234", id="large values"),
    ],
)
def test_a_gain_is_written(gain: float, value: float, text: str) -> None:
    assert words.gained(gain, value=value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0.04, "0.0 s", id="nothing"),
        pytest.param(42.0, "42.0 s", id="seconds"),
        pytest.param(59.97, "1 min 00 s", id="nearly a minute is a minute"),
        pytest.param(119.7, "2 min 00 s", id="seconds never reach sixty"),
        pytest.param(3599.6, "1 h 00 min", id="minutes never reach sixty"),
        pytest.param(6840, "1 h 54 min", id="hours"),
    ],
)
def test_a_time_is_written(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text

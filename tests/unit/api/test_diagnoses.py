"""What a result may say was wrong with its training."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_client import Diagnosis as Told
from tuning_client._result import encode
from tuning_operator.api.contract import parse_result
from tuning_operator.api.diagnoses import KNOWN, LONGEST_ADVICE, MOST, Diagnosis, read
from tuning_operator.engine import generalization
from tuning_trainer.diagnosis import Name

figures = st.none() | st.floats()
told = st.builds(
    Told,
    st.from_regex("[a-z][a-z0-9-]{0,40}", fullmatch=True),
    st.text(max_size=400),
    figures,
    figures,
)


def test_the_names_are_those_of_the_trainer_and_what_the_engine_sees_between_trials() -> None:
    assert {*get_args(Name), generalization.NAME} == KNOWN


@given(st.lists(told, max_size=20, unique_by=lambda diagnosis: diagnosis.name))
def test_the_operator_takes_what_the_client_writes(diagnoses: list[Told]) -> None:
    text, left_out = encode({"val_accuracy": 0.5}, objective="val_accuracy", diagnoses=diagnoses)
    kept = [diagnosis for diagnosis in diagnoses if f"diagnosis {diagnosis.name}" not in left_out]
    result = parse_result(text.decode())
    assert [diagnosis.name for diagnosis in result.diagnoses] == [diagnosis.name for diagnosis in kept]
    assert [_figures(taken) for taken in result.diagnoses] == [_figures(diagnosis) for diagnosis in kept]
    assert dict(result.metrics) == {"val_accuracy": 0.5}


def _figures(diagnosis: Told | Diagnosis) -> str:
    return f"{diagnosis.figure} {diagnosis.threshold}"  # of which nan equals nan


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param(None, [], id="nothing"),
        pytest.param(0.5, [], id="a number"),
        pytest.param({"name": "diverged"}, [], id="one that is in no list"),
        pytest.param([{"name": "diverged"}], [Diagnosis(name="diverged")], id="a name alone"),
        pytest.param(
            [{"name": "overfitting", "figure": 2, "threshold": 1.5, "advice": "stop\n earlier"}],
            [Diagnosis(name="overfitting", advice="stop earlier", figure=2.0, threshold=1.5)],
            id="all of it",
        ),
        pytest.param(
            [{"name": "a", "figure": "high", "advice": 3}], [Diagnosis(name="a")], id="a figure and advice that are none"
        ),
        pytest.param([{"name": "a", "figure": True}], [Diagnosis(name="a")], id="a figure that is true"),
        pytest.param([{"name": "a", "figure": "-inf"}], [Diagnosis(name="a", figure=-math.inf)], id="an infinite figure"),
        pytest.param([{"name": "a", "figure": 10**400}], [Diagnosis(name="a", figure=math.inf)], id="a figure beyond all floats"),
        pytest.param(
            [{"name": "Big"}, {"name": "a" * 42}, {"name": 3}, {}, "diverged", {"name": "b"}],
            [Diagnosis(name="b")],
            id="bad names",
        ),
        pytest.param([{"name": "a", "figure": 1}, {"name": "a", "figure": 2}], [Diagnosis(name="a", figure=1.0)], id="one twice"),
        pytest.param(
            [{"name": "a", "advice": "half \ud83d a\x00 character"}],
            [Diagnosis(name="a", advice="half  a character")],
            id="what no reader takes",
        ),
    ],
)
def test_what_is_malformed_is_passed_over(written: Any, kept: list[Diagnosis]) -> None:
    assert list(read(written)) == kept
    assert list(parse_result(json.dumps({"val_accuracy": 0.5, "diagnoses": written})).diagnoses) == kept


def test_more_than_sixteen_and_long_advice_are_cut() -> None:
    taken = read([{"name": f"n{number}", "advice": "x" * 900} for number in range(40)])
    assert [diagnosis.name for diagnosis in taken] == [f"n{number}" for number in range(MOST)]
    assert {len(diagnosis.advice) for diagnosis in taken} == {LONGEST_ADVICE}


def test_names_that_are_not_known_are_neither_reason_nor_label() -> None:
    known, other = Diagnosis(name="out-of-memory"), Diagnosis(name="my-own-remark")
    assert (known.reason, known.label) == ("OutOfMemory", "out-of-memory")
    assert (other.reason, other.label) == (None, "other")

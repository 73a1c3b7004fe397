"""The result: into its file first, then to the gateway."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.conftest import QUICK, MakeTrial
from tests.unit.client.scripted_gateway import PATIENCE, Reply, Request, ScriptedGateway

from tuning_client import ConfigurationError, Diagnosis, Pruned
from tuning_client._result import LONGEST_SENTENCE, MOST_DIAGNOSES, RESERVED, RESULT_LIMIT, encode
from tuning_operator.api import contract
from tuning_operator.api.study import METRIC_NAME_PATTERN

metrics = st.dictionaries(
    st.from_regex(METRIC_NAME_PATTERN, fullmatch=True).filter(lambda name: name not in RESERVED),
    st.floats() | st.integers(-(2**63), 2**63).map(float),
    max_size=20,
)


@given(metrics=metrics, pruned=st.booleans())
def test_the_operator_reads_what_the_client_writes(metrics: dict[str, float], *, pruned: bool) -> None:
    text, left_out = encode(metrics, pruned=pruned)
    result = contract.parse_result(text.decode())
    assert result.pruned == pruned
    kept = {name: value for name, value in metrics.items() if name not in left_out}
    assert dict(result.metrics) == pytest.approx(kept, rel=0, abs=0, nan_ok=True)


@given(st.dictionaries(st.text(), st.floats(), max_size=300))
def test_a_result_is_never_above_the_limit(metrics: dict[str, float]) -> None:
    text, left_out = encode(metrics)
    assert len(text) <= RESULT_LIMIT
    assert set(json.loads(text)) | set(left_out) == set(metrics)


def test_the_limit_is_the_contract_s() -> None:
    assert RESULT_LIMIT == contract.RESULT_LIMIT


def test_the_result_stands_in_its_file_before_it_is_posted(
    make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path
) -> None:
    written: list[str] = []

    def look(_: Request) -> Reply:
        written.append(result_file.read_text())
        return Reply()

    gateway.answer = look
    make_trial().result(val_accuracy=0.97, val_loss=float("nan"))
    assert written == ['{"val_accuracy": 0.97, "val_loss": "nan"}']
    assert gateway.requests[0].path == "/v1/result"
    assert gateway.requests[0].body == {"val_accuracy": 0.97, "val_loss": "nan"}


def test_a_value_alone_is_the_objective_s(make_trial: MakeTrial, result_file: Path) -> None:
    make_trial().result(0.97)
    assert json.loads(result_file.read_text()) == {"val_accuracy": 0.97}


def test_the_result_follows_all_reports(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    trial = make_trial(replace(QUICK, between_requests=3600.0))
    for step in range(10):
        trial.report(step, 0.5)
    trial.result(0.97)
    assert [step for step, _ in gateway.points] == list(range(10))
    assert [request.path for request in gateway.requests][-1] == "/v1/result"


def test_the_result_is_not_held_up_by_an_outage_that_is_over(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    gateway.answer = lambda _: Reply(status=503)
    trial = make_trial(replace(QUICK, first_retry=3600.0, longest_retry=3600.0))
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    gateway.answer = lambda _: Reply()
    trial.result(0.97)
    assert [request.path for request in gateway.requests[1:]] == ["/v1/reports", "/v1/result"]


def test_a_result_that_cannot_be_taken_now_is_posted_again(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    gateway.answer = lambda _: Reply(status=503) if len(gateway.requests) < 4 else Reply(body=b'{"committed": true}')
    make_trial().result(0.97)
    assert [request.body for request in gateway.requests] == [{"val_accuracy": 0.97}] * 4


def test_a_result_that_is_refused_is_not_posted_again(
    make_trial: MakeTrial, gateway: ScriptedGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer = lambda _: Reply(status=409, body=b'{"error": "trial 3 has ended already"}')
    make_trial().result(0.97)
    assert len(gateway.requests) == 1
    assert "trial 3 has ended already" in capsys.readouterr().err


def test_a_gateway_that_hangs_costs_a_bounded_time(
    make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = threading.Event()
    in_time: list[bool] = []

    def hang(_: Request) -> Reply:
        in_time.append(left.wait(PATIENCE))
        return Reply()

    gateway.answer = hang
    trial = make_trial(replace(QUICK, result=0.01, farewell=0.01))
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    trial.result(0.97)
    trial.close()
    left.set()
    assert trial._courier is not None
    trial._courier._thread.join(PATIENCE)
    assert all(in_time)
    assert json.loads(result_file.read_text()) == {"val_accuracy": 0.97}
    assert "did not take the result within 0.01 s; the result file has it" in capsys.readouterr().err


def test_the_result_file_is_written_in_place(make_trial: MakeTrial, result_file: Path) -> None:
    result_file.write_text("x" * 5000)
    before = result_file.stat().st_ino
    make_trial().result(0.97)
    assert result_file.read_text() == '{"val_accuracy": 0.97}'
    assert result_file.stat().st_ino == before


def test_a_result_file_that_cannot_be_written_does_not_fail_the_training(
    make_trial: MakeTrial, gateway: ScriptedGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_trial(TUNING_RESULT_FILE=str(tmp_path / "missing" / "result.json")).result(0.97)
    assert gateway.requests[0].body == {"val_accuracy": 0.97}
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_a_result_too_long_keeps_the_objective(
    make_trial: MakeTrial, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many: dict[str, Any] = {f"class_{number:04}": 0.5 for number in range(400)}
    make_trial().result(**many, val_accuracy=0.97)
    text = result_file.read_bytes()
    assert len(text) <= RESULT_LIMIT
    assert next(iter(json.loads(text).items())) == ("val_accuracy", 0.97)
    assert "leaves out class_0" in capsys.readouterr().err


OVERFITTING = Diagnosis("overfitting", "validation loss rose from 0.31 to 0.52; stop earlier", figure=1.68, threshold=1.2)


def test_diagnoses_and_notes_stand_beside_the_metrics(make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path) -> None:
    make_trial().result(val_loss=0.5, val_accuracy=0.9, diagnoses=[OVERFITTING], notes={"message": "by CPU"})
    assert json.loads(result_file.read_text()) == gateway.requests[-1].body
    assert list(json.loads(result_file.read_text()).items()) == [
        ("val_accuracy", 0.9),
        (
            "diagnoses",
            [{"name": "overfitting", "figure": 1.68, "threshold": 1.2, "advice": OVERFITTING.sentence}],
        ),
        ("val_loss", 0.5),
        ("message", "by CPU"),
    ]


def test_a_figure_that_is_not_finite_is_a_string() -> None:
    text, _ = encode({}, diagnoses=[Diagnosis("diverged", "the loss became nan", figure=math.inf)])
    assert json.loads(text)["diagnoses"] == [{"name": "diverged", "figure": "inf", "advice": "the loss became nan"}]


@pytest.mark.parametrize(
    "diagnosis",
    [
        pytest.param(Diagnosis("Too high", ""), id="a name of other letters"),
        pytest.param(Diagnosis("a" * 42, ""), id="a name too long"),
        pytest.param(Diagnosis("not-learning", "", figure="high"), id="a figure that is no number"),  # type: ignore[arg-type]
    ],
)
def test_a_diagnosis_that_nobody_would_read_costs_no_result(
    make_trial: MakeTrial, result_file: Path, capsys: pytest.CaptureFixture[str], diagnosis: Diagnosis
) -> None:
    make_trial().result(0.9, diagnoses=[diagnosis, OVERFITTING])
    assert [kept["name"] for kept in json.loads(result_file.read_text())["diagnoses"]] == ["overfitting"]
    assert f"leaves out diagnosis {diagnosis.name}" in capsys.readouterr().err


def test_many_long_diagnoses_leave_the_objective_and_each_other_room() -> None:
    many = [Diagnosis(f"trouble-{number}", "what to do about it " * 50, figure=float(number)) for number in range(20)]
    text, left_out = encode({"val_loss": 0.5, "val_accuracy": 0.9}, objective="val_accuracy", diagnoses=many)
    document = json.loads(text)
    assert len(text) <= RESULT_LIMIT
    assert next(iter(document)) == "val_accuracy"
    assert [kept["name"] for kept in document["diagnoses"]] == [f"trouble-{number}" for number in range(MOST_DIAGNOSES)]
    assert all(len(kept.get("advice", "")) <= LONGEST_SENTENCE for kept in document["diagnoses"])
    assert left_out[:4] == tuple(f"diagnosis trouble-{number}" for number in range(MOST_DIAGNOSES, 20))


def test_a_result_without_the_objective_is_written_and_explained(
    make_trial: MakeTrial, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_trial().result(val_acc=0.97)
    assert json.loads(result_file.read_text()) == {"val_acc": 0.97}
    assert "the study's objective is val_accuracy; pass val_accuracy as well" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({"pruned": True}, "a metric is named pruned", id="the reserved word as a metric"),
        pytest.param({"message": 1.0}, "a metric is named message", id="a note's word as a metric"),
        pytest.param({"notes": {"pruned": "yes"}}, "a note is named pruned", id="the reserved word as a note"),
        pytest.param({"val_loss": 0.1, "notes": {"val_loss": "low"}}, "a note is named val_loss", id="a note over a metric"),
        pytest.param({"val_accuracy": "high"}, "val_accuracy has the value 'high', which is not a number", id="a word"),
        pytest.param({"val_accuracy": [1.0, 2.0]}, "which is not a number", id="a list"),
    ],
)
def test_a_result_refuses(make_trial: MakeTrial, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make_trial().result(**given)


def test_scalars_of_other_libraries_are_numbers(make_trial: MakeTrial, result_file: Path) -> None:
    class Scalar:
        def __float__(self) -> float:
            return 0.25

    value: Any = Scalar()
    make_trial().result(val_accuracy=value)
    assert json.loads(result_file.read_text()) == {"val_accuracy": 0.25}


def test_leaving_pruned_writes_the_last_value_and_posts_it(
    make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path
) -> None:
    with make_trial() as trial:
        trial.report(0, 0.4)
        trial.report(1, 0.5)
        raise Pruned
    assert json.loads(result_file.read_text()) == {"pruned": True, "val_accuracy": 0.5}
    assert gateway.requests[-1].body == {"pruned": True, "val_accuracy": 0.5}


def test_leaving_pruned_before_the_first_report_has_no_value(make_trial: MakeTrial, result_file: Path) -> None:
    with make_trial():
        raise Pruned
    assert json.loads(result_file.read_text()) == {"pruned": True}


def test_leaving_pruned_may_say_what_was_wrong(make_trial: MakeTrial, result_file: Path) -> None:
    with make_trial() as trial:
        trial.report(0, 0.4)
        raise Pruned(diagnoses=[OVERFITTING])
    assert [kept["name"] for kept in json.loads(result_file.read_text())["diagnoses"]] == ["overfitting"]


def test_a_nan_objective_survives_leaving_pruned(make_trial: MakeTrial, result_file: Path) -> None:
    with make_trial() as trial:
        trial.report(0, math.nan)
        raise Pruned
    assert json.loads(result_file.read_text()) == {"pruned": True, "val_accuracy": "nan"}


def test_a_result_in_its_file_is_in_safe_hands(make_trial: MakeTrial) -> None:
    assert make_trial(TUNING_ENDPOINT="").result(val_accuracy=0.5) is True


def test_a_result_that_the_gateway_took_is_in_safe_hands_without_a_file(make_trial: MakeTrial) -> None:
    assert make_trial(TUNING_RESULT_FILE="").result(val_accuracy=0.5) is True


def test_a_result_that_nobody_took_is_not_in_safe_hands(make_trial: MakeTrial, tmp_path: Path) -> None:
    assert make_trial(TUNING_ENDPOINT="", TUNING_RESULT_FILE=str(tmp_path)).result(val_accuracy=0.5) is False


def test_the_result_of_an_attempt_that_a_newer_one_replaced_frees_no_checkpoint(
    make_trial: MakeTrial, gateway: ScriptedGateway
) -> None:
    gateway.answer = lambda _: Reply(status=410, body=b'{"error": "attempt 2 runs"}')
    assert make_trial().result(val_accuracy=0.5) is False

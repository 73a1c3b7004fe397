"""Reports on their way to the gateway, its decision on the way back."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import QUICK, MakeTrial, wait_for
from tests.unit.client.scripted_gateway import PATIENCE, Reply, Request, ScriptedGateway

from tuning_client import ConfigurationError, Trial, _courier
from tuning_client._environment import read


def test_reports_arrive_in_order(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    trial = make_trial()
    for step in range(50):
        trial.report(step, val_accuracy=step / 100)
    gateway.wait_for(lambda: len(gateway.points) == 50)
    assert gateway.points == [(step, step / 100) for step in range(50)]


def test_reports_made_while_a_request_is_under_way_travel_together(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    release = threading.Event()
    gateway.answer = lambda _: Reply() if release.wait(PATIENCE) else Reply(status=500)
    trial = make_trial()
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    for step in range(1, 20):
        trial.report(step, 0.5)
    release.set()
    gateway.wait_for(lambda: len(gateway.requests) == 2)
    assert [len(request.points) for request in gateway.requests] == [1, 19]


def test_more_reports_than_one_request_takes_are_split(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    release = threading.Event()
    gateway.answer = lambda _: Reply() if release.wait(PATIENCE) else Reply(status=500)
    trial = make_trial()
    for step in range(_courier.BATCH + 5):
        trial.report(step, 0.5)
    release.set()
    gateway.wait_for(lambda: len(gateway.points) == _courier.BATCH + 5)
    assert max(len(request.points) for request in gateway.requests) <= _courier.BATCH


def test_a_value_that_is_not_finite_travels_as_a_string(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    trial = make_trial()
    for step, value in enumerate([float("nan"), float("inf"), float("-inf")]):
        trial.report(step, value)
    gateway.wait_for(lambda: len(gateway.points) == 3)
    assert gateway.points == [(0, "nan"), (1, "inf"), (2, "-inf")]


def test_only_the_objective_travels(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    trial = make_trial()
    trial.report(0, train_loss=1.5, val_accuracy=0.9)
    gateway.wait_for(lambda: len(gateway.points) == 1)
    assert gateway.points == [(0, 0.9)]


def test_a_report_without_the_objective_is_explained_once(make_trial: MakeTrial, capsys: pytest.CaptureFixture[str]) -> None:
    trial = make_trial()
    trial.report(0, train_loss=1.5)
    trial.report(1, train_loss=1.4)
    assert capsys.readouterr().err == (
        "tuning_client: trial.report() was given train_loss, but the study's objective is val_accuracy;"
        " pass val_accuracy as well\n"
    )


def test_a_final_run_need_not_report_what_it_is_tested_by(make_trial: MakeTrial, capsys: pytest.CaptureFixture[str]) -> None:
    trial = make_trial(TUNING_ROLE="final", TUNING_METRIC="test_accuracy")
    trial.report(0, train_loss=1.5)
    assert capsys.readouterr().err == ""
    trial.result(train_loss=1.5)
    assert "the study's objective is test_accuracy; pass test_accuracy as well" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stop", "prune", "interrupted"),
    [
        pytest.param("pruned", True, False, id="a pruned trial leaves for good"),
        pytest.param("timeout", True, False, id="a trial above its time limit leaves for good"),
        pytest.param("study-ended", True, False, id="a trial of an ended study leaves for good"),
        pytest.param("a-later-word", True, False, id="an unknown reason is a reason to leave for good"),
        pytest.param("suspended", False, True, id="a suspended trial saves its work and leaves to be continued"),
    ],
)
def test_the_answer_to_a_report_decides(
    make_trial: MakeTrial, gateway: ScriptedGateway, stop: str, *, prune: bool, interrupted: bool
) -> None:
    gateway.answer = lambda _: Reply(body=b'{"stop": "%s"}' % stop.encode())
    trial = make_trial()
    assert not trial.should_stop()
    trial.report(0, 0.5)
    wait_for(trial, trial.should_stop)
    assert (trial.should_prune(), trial.interrupted) == (prune, interrupted)


def test_a_reason_to_stop_is_not_taken_back(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    trial = make_trial()
    gateway.answer = lambda _: Reply(body=b'{"stop": "pruned"}')
    trial.report(0, 0.5)
    wait_for(trial, trial.should_prune)
    gateway.answer = lambda _: Reply()
    trial.report(1, 0.5)
    trial.close()
    assert len(gateway.points) == 2
    assert trial.should_prune()


def test_a_trial_that_does_not_report_asks_now_and_then(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    gateway.answer = lambda _: Reply(body=b'{"stop": "study-ended"}')
    trial = make_trial(replace(QUICK, between_questions=0.01))
    wait_for(trial, trial.should_prune)
    assert (gateway.requests[0].method, gateway.requests[0].path) == ("GET", "/v1/decision")


def test_a_superseded_attempt_leaves_and_says_no_more(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    gateway.answer = lambda _: Reply(status=410, body=b'{"error": "attempt 2 runs"}')
    trial = make_trial()
    trial.report(0, 0.5)
    wait_for(trial, trial.should_stop)
    assert trial.stop_reason == "superseded"
    assert trial.should_prune()
    assert trial._courier is not None
    trial._courier._thread.join(PATIENCE)
    assert not trial._courier._thread.is_alive()
    trial.report(1, 0.5)
    trial.result(val_accuracy=0.5)
    assert len(gateway.requests) == 1


TROUBLE = [
    pytest.param(Reply(status=500, body=b"oops"), id="an internal error"),
    pytest.param(Reply(status=503, body=b'{"error": "not now"}', headers={"Retry-After": "0"}), id="not now"),
    pytest.param(Reply(status=503, headers={"Retry-After": "Mon, 23 Nov 2026 10:00:00 GMT"}), id="a date to retry after"),
    pytest.param(Reply(status=429), id="too many requests"),
    pytest.param(Reply(status=401), id="a token that is not known yet"),
    pytest.param(Reply(status=404), id="an address where something else lives"),
    pytest.param(Reply(status=302, headers={"Location": "http://127.0.0.1:1/login"}), id="a login page elsewhere"),
    pytest.param(Reply(body=b"<html>hello</html>"), id="a page instead of JSON"),
    pytest.param(Reply(body=b"[]"), id="JSON that is no object"),
    pytest.param(Reply(body=b"\xff\xfe\x00"), id="bytes that are no text"),
    pytest.param(Reply(body=b"[" * 20_000), id="JSON too deep to read"),
    pytest.param(Reply(body=b'{"stop": nu', headers={"Content-Length": "9999"}), id="an answer that breaks off"),
    pytest.param(Reply(raw=b"SSH-2.0-OpenSSH_9.9\r\n"), id="another protocol"),
    pytest.param(Reply(raw=b""), id="a connection closed without a word"),
]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_reports_survive(make_trial: MakeTrial, gateway: ScriptedGateway, trouble: Reply) -> None:
    gateway.answer = lambda _: trouble if len(gateway.requests) < 3 else Reply(body=b'{"stop": "pruned"}')
    trial = make_trial()
    trial.report(0, 0.1)
    trial.report(1, 0.2)
    wait_for(trial, trial.should_prune)
    trial.close()
    assert gateway.requests[2].points[0] == (0, 0.1)
    assert gateway.points[-1] == (1, 0.2)


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_reports_that_are_refused_for_good_do_not_block_the_next(
    make_trial: MakeTrial, gateway: ScriptedGateway, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    def refuse_first(request: Request) -> Reply:
        refused = request is gateway.requests[0]
        return Reply(status=status, body=b'{"error": "send less at once"}') if refused else Reply(body=b'{"stop": "pruned"}')

    gateway.answer = refuse_first
    trial = make_trial()
    trial.report(0, 0.1)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    trial.report(1, 0.2)
    wait_for(trial, trial.should_prune)
    assert gateway.points == [(0, 0.1), (1, 0.2)]
    assert "refused what was sent: send less at once" in capsys.readouterr().err


def test_retry_after_is_heeded(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    gateway.answer = lambda _: (
        Reply(status=503, headers={"Retry-After": "0"}) if len(gateway.requests) == 1 else Reply(body=b'{"stop": "pruned"}')
    )
    trial = make_trial(replace(QUICK, first_retry=3600.0, longest_retry=3600.0))
    trial.report(0, 0.5)
    wait_for(trial, trial.should_prune)
    assert len(gateway.requests) == 2


def test_a_gateway_that_is_away_is_mentioned_once(
    make_trial: MakeTrial, gateway: ScriptedGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer = lambda _: Reply(status=500)
    trial = make_trial()
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) > 8)
    gateway.answer = lambda _: Reply()
    trial.close()
    assert capsys.readouterr().err == (
        f"tuning_client: the gateway at {gateway.endpoint} cannot be reached (HTTP 500); the training goes on without it\n"
    )


def test_the_oldest_reports_go_when_the_gateway_is_away_for_long(
    make_trial: MakeTrial, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_courier, "CAPACITY", 10)
    gateway.answer = lambda _: Reply(status=500)
    trial = make_trial()
    for step in range(25):
        trial.report(step, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) > 5)
    with gateway.changed:
        gateway.requests.clear()
        gateway.answer = lambda _: Reply()
    trial.close()
    assert [step for step, _ in gateway.requests[-1].points] == list(range(15, 25))
    assert "cannot be reached" in capsys.readouterr().err


def test_a_slow_gateway_does_not_slow_the_training(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    training_done = threading.Event()
    in_time: list[bool] = []

    def slow(_: Request) -> Reply:
        in_time.append(training_done.wait(PATIENCE))
        return Reply()

    gateway.answer = slow
    trial = make_trial()
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    for step in range(1, 100):
        trial.report(step, 0.5)
        assert not trial.should_stop()
    training_done.set()
    trial.close()
    assert all(in_time)
    assert len(gateway.points) == 100


def test_leaving_does_not_wait_for_a_gateway_that_hangs(
    make_trial: MakeTrial, gateway: ScriptedGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    left = threading.Event()
    in_time: list[bool] = []

    def hang(_: Request) -> Reply:
        in_time.append(left.wait(PATIENCE))
        return Reply()

    gateway.answer = hang
    trial = make_trial(replace(QUICK, farewell=0.01))
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    trial.report(1, 0.5)
    trial.close()
    left.set()
    assert trial._courier is not None
    trial._courier._thread.join(PATIENCE)
    assert in_time == [True]
    assert "reports did not reach the gateway" in capsys.readouterr().err


def test_the_token_is_read_again_for_each_request(make_trial: MakeTrial, gateway: ScriptedGateway, token_file: Path) -> None:
    trial = make_trial()
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    token_file.write_text("second\n")
    trial.report(1, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 2)
    assert [request.token for request in gateway.requests] == ["first", "second"]


@pytest.mark.parametrize("content", [None, b"two\nlines", b"\xff\xfe"], ids=["missing", "with a line break", "no text"])
def test_reports_wait_while_the_token_file_is(
    make_trial: MakeTrial, gateway: ScriptedGateway, token_file: Path, content: bytes | None
) -> None:
    token_file.unlink()
    if content is not None:
        token_file.write_bytes(content)
    trial = make_trial()
    trial.report(0, 0.5)
    assert trial._courier is not None
    wait_for(trial, lambda: trial._courier is not None and trial._courier._failures > 0)
    token_file.write_text("here")
    gateway.wait_for(lambda: len(gateway.points) == 1)
    assert [request.token for request in gateway.requests] == ["here"]


def test_a_proxy_of_the_environment_is_not_for_the_gateway(
    make_trial: MakeTrial, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    make_trial().report(0, 0.5)
    gateway.wait_for(lambda: gateway.points == [(0, 0.5)])


def test_an_endpoint_may_have_a_path(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    make_trial(TUNING_ENDPOINT=f"{gateway.endpoint}/tuning/").report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) == 1)
    assert gateway.requests[0].path == "/tuning/v1/reports"


def test_the_random_numbers_of_the_training_stay_its_own(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    gateway.answer = lambda _: Reply(status=500)
    before = random.getstate()
    trial = make_trial()
    trial.report(0, 0.5)
    gateway.wait_for(lambda: len(gateway.requests) > 5)
    assert random.getstate() == before
    gateway.answer = lambda _: Reply()


def test_steps_of_a_fold_travel_apart_from_those_of_others(make_trial: MakeTrial, gateway: ScriptedGateway) -> None:
    trial = make_trial()
    trial.report(7, 0.5)
    trial.report(7, 0.6, fold=0)
    trial.report(7, fold=2, val_accuracy=0.7)
    gateway.wait_for(lambda: len(gateway.points) == 3)
    assert gateway.points == [(7, 0.5), (7, 0.6), (2_000_007, 0.7)]


@pytest.mark.parametrize(
    ("step", "fold", "sentence"),
    [
        pytest.param(1_000_000, 0, "the step 1000000; it must be a whole number from 0 to 999999", id="a step too large"),
        pytest.param(0, -1, "the fold -1; it must be a whole number from 0 to 2146", id="a negative fold"),
        pytest.param(0, 2147, "the fold 2147", id="a fold that the database has no steps for"),
        pytest.param(0, 0.5, "the fold 0.5", id="half a fold"),
    ],
)
def test_a_report_refuses_the_fold(make_trial: MakeTrial, step: int, fold: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make_trial().report(step, 0.5, fold=fold)


def test_a_fold_is_printed_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    Trial(read({})).report(3, 0.5, fold=2)
    assert capsys.readouterr().out == "fold 2 step 3: value=0.5\n"

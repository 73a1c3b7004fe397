"""How a local attempt ended: a row per way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tuning_operator.api.contract import ResultError
from tuning_operator.engine.facts import Ended, Outcome
from tuning_operator.runtime.ends import last_lines
from tuning_operator.runtime.local.outcome import ExitRecord, ended, lost

LOG: Final = "epoch 1\n\nepoch 2\nValueError: negative loss\n"


@dataclass(frozen=True)
class Row:
    sentence: str
    record: dict[str, Any]
    outcome: Outcome
    reason: str
    says: str = ""
    result: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


ROWS: Final = (
    Row("exit 0 with a result succeeds", {"code": 0}, Outcome.SUCCEEDED, "Completed", result='{"a": 0.5}', metrics={"a": 0.5}),
    Row("exit 0 without a result has no metrics", {"code": 0}, Outcome.SUCCEEDED, "Completed"),
    Row(
        "exit 0 while being stopped keeps its result",
        {"code": 0, "stopped": True},
        Outcome.SUCCEEDED,
        "Completed",
        result='{"a": 1}',
        metrics={"a": 1.0},
    ),
    Row(
        "exit 0 while being stopped, without a result, is an interruption",
        {"code": 0, "stopped": True},
        Outcome.DISRUPTED,
        "Interrupted",
    ),
    Row(
        "a result that is no JSON is a failure that says so",
        {"code": 0},
        Outcome.FAILED,
        "ResultInvalid",
        says="JSON",
        result="a=0.5",
    ),
    Row("exit 75 is an interruption, not a failure", {"code": 75}, Outcome.DISRUPTED, "Interrupted"),
    Row("exit 78 is the study's fault", {"code": 78}, Outcome.CONFIGURATION, "ConfigurationError", says="negative loss"),
    Row(
        "any other exit code is a failure with its last words",
        {"code": 1},
        Outcome.FAILED,
        "ExitCode",
        says="exit code 1: epoch 1 | epoch 2 | ValueError",
    ),
    Row(
        "ending by SIGTERM when asked to stop is an interruption",
        {"code": -15, "stopped": True},
        Outcome.DISRUPTED,
        "Interrupted",
    ),
    Row("a failure while being stopped is an interruption", {"code": 1, "stopped": True}, Outcome.DISRUPTED, "Interrupted"),
    Row(
        "ending by SIGKILL unasked is a failure",
        {"code": -9},
        Outcome.FAILED,
        "Signal",
        says="SIGKILL, perhaps for want of memory",
    ),
    Row("ending by SIGSEGV is a failure", {"code": -11}, Outcome.FAILED, "Signal", says="SIGSEGV"),
    Row("a signal without a name has its number", {"code": -63}, Outcome.FAILED, "Signal", says="signal 63"),
    Row(
        "a command that is not there is the study's fault",
        {"error": "train.sh: No such file"},
        Outcome.CONFIGURATION,
        "CommandNotStarted",
        says="mend command",
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=[row.sentence for row in ROWS])
def test_a_local_attempt(row: Row) -> None:
    record = ExitRecord.of({"started_at": 1.0, "ended_at": 2.0, **row.record})
    end = ended(record, result=row.result, log_tail=LOG)
    assert (end.outcome, end.reason, end.at) == (row.outcome, row.reason, 2.0)
    assert row.says in end.message
    assert dict(end.metrics) == row.metrics


def test_a_result_that_cannot_be_read_is_a_failure_that_says_why() -> None:
    end = ended(ExitRecord(started_at=1.0, ended_at=2.0, code=0), result=ResultError("it is a folder"), log_tail="")
    assert (end.outcome, end.reason, end.message) == (Outcome.FAILED, "ResultInvalid", "it is a folder")


def test_an_attempt_that_left_no_record_was_disrupted() -> None:
    end = lost(3.0)
    assert isinstance(end, Ended)
    assert (end.outcome, end.reason) == (Outcome.DISRUPTED, "Lost")


def test_the_last_words_are_bounded() -> None:
    assert len(last_lines("x" * 10_000)) <= 600
    assert last_lines("\n \n") == ""

"""How a local attempt ended, from its exit code and its result file. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from tuning_operator.api.contract import EXIT_CONFIGURATION, EXIT_INTERRUPTED, Result, ResultError, parse_result
from tuning_operator.engine.facts import RESULT_INVALID, Ended, Outcome
from tuning_operator.runtime.ends import completed, last_lines


@dataclass(frozen=True, kw_only=True)
class ExitRecord:
    """What the shim wrote at the end of a trial's process."""

    started_at: float
    ended_at: float
    code: int | None = None  # negative: the signal that ended it
    error: str | None = None  # it could not be started
    stopped: bool = False  # it was asked to stop before it ended

    @classmethod
    def of(cls, document: dict[str, Any]) -> ExitRecord:
        """The record as the shim's JSON file holds it."""
        return cls(**document)


def ended(record: ExitRecord, *, result: str | ResultError, log_tail: str) -> Ended:
    """How the attempt ended.

    Args:
        record: what the shim saw.
        result: content of the result file, empty when the trial wrote none; or why it cannot be read.
        log_tail: the last part of what it printed, which explains a failure.
    """
    outcome, reason, message = Outcome.FAILED, "ExitCode", last_lines(log_tail)
    match record:
        case ExitRecord(error=str(error)):
            outcome, reason = Outcome.CONFIGURATION, "CommandNotStarted"
            message = f"{error}; mend command or workingDir in spec.trial.template"
        case ExitRecord(code=0) if result or not record.stopped:
            return _completed(record, result)
        case ExitRecord(stopped=True):
            outcome, reason, message = Outcome.DISRUPTED, "Interrupted", "asked to stop"
        case ExitRecord(code=code) if code == EXIT_INTERRUPTED:
            outcome, reason = Outcome.DISRUPTED, "Interrupted"
        case ExitRecord(code=code) if code == EXIT_CONFIGURATION:
            outcome, reason = Outcome.CONFIGURATION, "ConfigurationError"
        case ExitRecord(code=int(code)) if code < 0:
            reason, message = "Signal", _sentence(f"ended by {_signal_name(-code)}", message)
        case ExitRecord(code=code):
            message = _sentence(f"exit code {code}", message)
    return Ended(outcome=outcome, at=record.ended_at, reason=reason, message=message)


def _sentence(what: str, tail: str) -> str:
    return f"{what}: {tail}" if tail else what


def lost(at: float) -> Ended:
    """The end of an attempt that left no record: the machine went down, or somebody killed the shim."""
    return Ended(outcome=Outcome.DISRUPTED, at=at, reason="Lost", message="its process is gone and left no record")


def _completed(record: ExitRecord, written: str | ResultError) -> Ended:
    try:
        result = _result(written)
    except ResultError as error:
        return Ended(outcome=Outcome.FAILED, at=record.ended_at, reason=RESULT_INVALID, message=str(error))
    return completed(result, record.ended_at)


def _result(written: str | ResultError) -> Result:
    if isinstance(written, ResultError):
        raise written
    return parse_result(written) if written else Result(metrics={})


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}, perhaps for want of memory" if number == signal.SIGKILL else name

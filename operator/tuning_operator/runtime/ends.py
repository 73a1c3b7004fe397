"""What every runtime says in the same way of an attempt that ended. Pure."""

from __future__ import annotations

from typing import Final

from tuning_operator.api.contract import Result
from tuning_operator.engine.facts import Ended, Outcome

_TAIL_LINES: Final = 5
_TAIL_CHARACTERS: Final = 600


def completed(result: Result, at: float) -> Ended:
    """The end of an attempt whose container succeeded, with its result."""
    return Ended(
        outcome=Outcome.SUCCEEDED,
        at=at,
        reason="Completed",
        message=result.message or "",
        metrics=result.metrics,
        pruned=result.pruned,
        diagnoses=result.diagnoses,
        notes=result.notes,
    )


def last_lines(log_tail: str) -> str:
    """The last few lines that say something, for a message."""
    lines = [line.strip() for line in log_tail.splitlines() if line.strip()]
    return " | ".join(lines[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]

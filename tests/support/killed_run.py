"""`tuning` with a trap: python -m tests.support.killed_run POINT COUNT ARGUMENT...

The process kills itself with SIGKILL at the COUNT-th time it passes the point. A point is `before:METHOD` or
`after:METHOD` of the study's ledger, or `before:any` and `after:any` for all its writes. The real command runs
otherwise: the trap stands around the ledger, not in it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from tuning_operator.cli import main
from tuning_operator.store.ledger import Ledger

WRITES: Final = (
    "save_choice",
    "claim",
    "claim_attempt",
    "mark_started",
    "request_stop",
    "report",
    "post_result",
    "conclude",
    "tell",
    "end_search",
    "decide_end",
    "mark_exhausted",
)


def set_trap(point: str, count: int) -> None:
    """Die at the count-th time that the point is passed."""
    moment, method = point.split(":")
    passed = 0

    def pass_by(here: str) -> None:
        nonlocal passed
        passed += here == moment
        if passed == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def trapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            pass_by("before")
            answer = original(*args, **kwargs)
            pass_by("after")
            return answer

        return call

    for name in WRITES if method == "any" else (method,):
        setattr(Ledger, name, trapped(getattr(Ledger, name)))


if __name__ == "__main__":
    set_trap(sys.argv[1], int(sys.argv[2]))
    sys.argv[1:] = sys.argv[3:]
    main()

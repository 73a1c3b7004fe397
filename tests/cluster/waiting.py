"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_PAUSE: Final = 0.05


def until(done: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Return once it is done.

    Raises:
        TimeoutError: it is not, after so many seconds; the text says what was awaited.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds:.0f} s")
        time.sleep(_PAUSE)

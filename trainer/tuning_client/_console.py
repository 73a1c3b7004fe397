"""How the client speaks to the person who reads the trial's output. It never raises: a closed pipe is no reason to fail."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO


def show(line: str) -> None:
    """A line of a run by hand, to stdout."""
    _write(sys.stdout, line)


def warn(sentence: str) -> None:
    """Something that a person should know, to stderr."""
    _write(sys.stderr, f"tuning_client: {sentence}")


def _write(stream: TextIO | None, line: str) -> None:
    if stream is not None:  # as under pythonw
        with suppress(OSError, ValueError):
            stream.write(line + "\n")
            stream.flush()

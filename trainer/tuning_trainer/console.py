"""How the trainer speaks to the people who read a trial's output."""

from __future__ import annotations

import sys


def say(sentence: str) -> None:
    """One line, to stderr."""
    sys.stderr.write(f"tuning_trainer: {sentence}\n")

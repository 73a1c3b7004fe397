"""What is wrong with a manifest, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Problem:
    """One thing to mend. The message names the value and the remedy."""

    field: str
    """Path in the user's own names, such as ``spec.parameters[2].float``; empty for the document itself."""
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    def under(self, parent: str) -> Problem:
        """The same problem, seen from the object that holds the parent field."""
        separator = "." if parent and self.field and not self.field.startswith("[") else ""
        return replace(self, field=f"{parent}{separator}{self.field}")


class InconsistentError(ValueError):
    """Fields that are right by themselves and do not go together. Fields are named relative to the refused value."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ManifestError(Exception):
    """A manifest that cannot be a study, with everything that is wrong with it, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the known one that it resembles, or all of them."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known are {', '.join(words)}"

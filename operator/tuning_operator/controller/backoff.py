"""How long to wait before trying again."""

from collections.abc import Iterator
from typing import Final

_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 30.0


def backoffs() -> Iterator[float]:
    """Seconds to wait after the first, second ... failure in a row."""
    delay = _FIRST_SECONDS
    while True:
        yield delay
        delay = min(2 * delay, _LONGEST_SECONDS)

"""One process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BusyError(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def exclusive(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock, which goes with its process, however that ends.

    Raises:
        BusyError: another process holds it and we do not wait.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BusyError(f"{file} is locked by another process") from None
        yield

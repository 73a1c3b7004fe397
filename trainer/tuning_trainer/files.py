"""Files that are whole or not there, whenever a process is killed."""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_UNFINISHED: Final = ".unfinished"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what then takes the place of `path`, after a loss of power too; nothing is left of it when that fails.

    The name is this process's own: another Pod may write the same file of a volume, and all Pods have the same process ids.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{_UNFINISHED}")
    try:
        yield unfinished
        _sync(unfinished)
        unfinished.replace(path)
        _sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed have left of the file that they were writing.

    Only where nobody else writes it any more: a process whose file is removed cannot put it in its place.

    Raises:
        OSError: one cannot be removed.
    """
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.*{_UNFINISHED}"):
        leftover.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

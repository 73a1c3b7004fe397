"""What processes cost: CPU time and the most memory they ever had, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_SEARCH: Final = b"spawn_main"


@dataclass(frozen=True)
class Usage:
    """Of one process, or of several added up."""

    cpu: float
    """Seconds, those of children that have ended included."""
    peak: int
    """Bytes of resident memory."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """A process; nothing once it is gone."""
        try:
            times = _fields(pid)[11:15]
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return cls(0.0, 0)
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
        return cls(sum(map(int, times)) * _TICK, int(peak) * 1024)

    @classmethod
    def together(cls, pids: list[int]) -> Self:
        """Several processes."""
        each = [cls.of(pid) for pid in pids]
        return cls(sum(usage.cpu for usage in each), sum(usage.peak for usage in each))


def since(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, Usage]:
    """The CPU time in between, and the peak at the end."""
    nothing = Usage(0.0, 0)
    return {part: Usage(used.cpu - before.get(part, nothing).cpu, used.peak) for part, used in after.items()}


def children(parent: int) -> list[int]:
    """The processes that a process has started itself and that run."""
    return [pid for pid in _pids() if _parent(pid) == parent]


def search_processes(operator: int) -> list[int]:
    """Those in which an operator's samplers run."""
    return [pid for pid in children(operator) if _SEARCH in _command(pid)]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _parent(pid: int) -> int | None:
    try:
        return int(_fields(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the state on: the name before it may itself have spaces and parentheses."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()

"""The seam between a study and the place where its trials run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tuning_operator.engine.facts import Observation, StudyCause


class RuntimeUnavailableError(Exception):
    """The runtime cannot do this now. Nothing has happened: try again later."""


@dataclass(frozen=True, order=True)
class AttemptKey:
    """One attempt of one trial, within a study."""

    trial: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What the runtime needs to run an attempt; the container itself it has from the study."""

    key: AttemptKey
    template: Mapping[str, Any] = field(default_factory=dict)  # merged into the Pod template of this attempt alone
    environment: Mapping[str, str]  # TUNING_* of the contract, but for paths and tokens, which the runtime knows


class Runtime(Protocol):
    """Where the trials of one study run. It outlives the operator: after a restart it still knows its attempts."""

    def observe(self) -> Mapping[AttemptKey, Observation]:
        """Every attempt that it knows and has not released. No I/O."""
        ...

    def causes(self) -> tuple[StudyCause, ...]:
        """What keeps trials from running, each thing once. No I/O."""
        ...

    async def start(self, launch: Launch) -> None:
        """Run an attempt. Starting one that it knows already is success; `observe` knows it from then on.

        Raises:
            RuntimeUnavailableError: not now.
        """
        ...

    async def stop(self, key: AttemptKey) -> None:
        """Ask an attempt to stop, with its grace period; how it ended is observed later."""
        ...

    async def release(self, key: AttemptKey, *, final: bool) -> None:
        """Let go of what is kept of an ended attempt: the database has it now. Final: of its trial too, which is told."""
        ...

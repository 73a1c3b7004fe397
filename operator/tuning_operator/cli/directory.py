"""The directory in which `tuning run` keeps a study: everything about it, and all that a restart needs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuning_operator.store.identity import StudyIdentity

LOCAL_CLUSTER: Final = "local"
"""Stands for the cluster in the identity of a study that runs without one."""


class DirectoryInUseError(Exception):
    """Another `tuning run` works in this directory."""


@dataclass(frozen=True)
class StudyDirectory:
    """Paths of one study's directory."""

    root: Path

    @property
    def database_file(self) -> Path:
        """The study database, readable by stock Optuna."""
        return self.root / "study.db"

    @property
    def database_url(self) -> str:
        """Its URL."""
        return f"sqlite:///{self.database_file.absolute()}"

    @property
    def manifest_file(self) -> Path:
        """The study as it was last run."""
        return self.root / "study.json"

    @property
    def result_file(self) -> Path:
        """The status, as a cluster would show it."""
        return self.root / "result.json"

    @property
    def report_file(self) -> Path:
        """The study told in one file."""
        return self.root / "report.html"

    @property
    def trials(self) -> Path:
        """Logs, checkpoints and output of every trial."""
        return self.root / "trials"

    @property
    def log_file(self) -> Path:
        """What the run had to say besides its progress."""
        return self.root / "run.log"

    def create(self) -> None:
        """Make the directory where it is missing."""
        self.root.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the directory for this process.

        Raises:
            DirectoryInUseError: another process holds it.
        """
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DirectoryInUseError(
                    f"{self.root} is in use by another `tuning run`; wait for it, or choose another --output"
                ) from None
            yield
        finally:
            os.close(descriptor)


def local_identity(namespace: str, name: str) -> StudyIdentity:
    """The identity of a study that runs without a cluster: a directory holds one study of a name."""
    return StudyIdentity(cluster=LOCAL_CLUSTER, uid=LOCAL_CLUSTER, namespace=namespace, name=name)

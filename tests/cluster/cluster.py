"""A whole cluster on this machine, at most one. It runs real Pods and needs root."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.addresses import CONTAINERD, HOST, RUNTIME, STATE
from tests.cluster.binaries import binary
from tests.cluster.containerd import Containerd
from tests.cluster.control_plane import Kubectl, start_control_plane
from tests.cluster.images import build_images
from tests.cluster.leftovers import clean
from tests.cluster.locks import exclusive
from tests.cluster.node import bring_up_bridge, start_node
from tests.cluster.processes import Identity, Programs
from tests.cluster.volumes import provide_volumes

_GPUS: Final = 4
_KUBECONFIG: Final = STATE / "admin.kubeconfig"
# Written last: a cluster without it is one whose start was cut.
_COMPLETE: Final = STATE / "complete"
_LOCK: Final = RUNTIME.with_suffix(".lock")
_STARTED: Final[list[Programs]] = []
"""By this process. They outlive it on purpose: Python would warn of a child that is let go of while it runs."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs Pods, as its administrator."""

    kubectl: Kubectl

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.kubectl.kubeconfig


def existing(kubeconfig: Path) -> Cluster:
    """Somebody else's, which has the images and volumes that it needs."""
    return Cluster(Kubectl(binary("kubectl"), kubeconfig))


def is_up() -> bool:
    """Whether it runs, all of it."""
    return _COMPLETE.exists() and all(Identity.read(file).alive for file in STATE.glob("*.pid"))


def up() -> Cluster:
    """Start the cluster, unless it runs, and give it the images as their sources are now.

    Starting it first removes what a run that was cut left.

    Raises:
        BusyError: another process starts or stops it now.
        PermissionError: we are not root.
    """
    with _alone():
        if is_up():
            Containerd(CONTAINERD).import_layout(build_images())
        else:
            _start()
        cluster = existing(_KUBECONFIG)
        provide_volumes(cluster.kubectl, STATE / "volumes")
        return cluster


def down() -> None:
    """Stop the cluster and remove all that it left.

    Raises:
        BusyError: another process starts or stops it now.
        PermissionError: we are not root.
    """
    with _alone():
        clean()


def _alone() -> AbstractContextManager[None]:
    if os.geteuid() != 0:
        raise PermissionError("a node that runs Pods needs root; run it as root")
    return exclusive(_LOCK, wait=False)


def _start() -> None:
    clean()
    for folder in (STATE, RUNTIME):
        folder.mkdir(mode=0o700, parents=True)
    bring_up_bridge()
    programs = Programs(STATE)
    try:
        plane = start_control_plane(STATE, programs, host=HOST)
        start_node(STATE, programs, plane, gpus=_GPUS)
    except BaseException:
        programs.stop()
        raise
    _STARTED.append(programs)
    _COMPLETE.touch()

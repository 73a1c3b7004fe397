"""Remove all that a cluster leaves on this machine, also one that was cut in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.cluster.addresses import BRIDGE, CONTAINERD, RUNTIME, STATE, SYSTEM_PATH
from tests.cluster.binaries import binary
from tests.cluster.processes import Identity, end_all
from tests.cluster.waiting import until

_SECONDS: Final = 30
# Little: what they would save goes too, and the API server would wait for watches of Pods, which end after it.
_GRACE: Final = 1.0
_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")


def clean() -> None:
    """End the cluster's processes and containers; unmount, and remove its folders, bridge, control groups and iptables chains."""
    if not STATE.exists():
        return
    end_all(STATE, grace=_GRACE)
    _end_containers()
    _unmount()
    _remove_chains()
    _try("ip", "link", "delete", BRIDGE)
    _remove_control_groups()
    shutil.rmtree(RUNTIME, ignore_errors=True)
    shutil.rmtree(STATE)  # last: as long as it stands, another clean finds what this one left


def _end_containers() -> None:
    """A container's parent is its shim, and that names its containerd; both outlive it."""
    shims = list(_shims())
    for shim in shims:
        for child in Path(f"/proc/{shim.pid}/task/{shim.pid}/children").read_text(encoding="utf-8").split():
            os.kill(int(child), signal.SIGKILL)
        shim.end(grace=0)
    until(lambda: not any(_shims()), seconds=_SECONDS, what="containers end")


def _shims() -> Iterator[Identity]:
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            continue
        if b"shim" in command[0] and os.fsencode(CONTAINERD) in command and (identity := Identity.of(int(folder.name))):
            yield identity


def _unmount() -> None:
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    mounts = [Path(line.split()[1].encode().decode("unicode_escape")) for line in lines]
    ours = [mount for mount in mounts if mount.is_relative_to(STATE) or mount.is_relative_to(RUNTIME)]
    for mount in sorted(ours, key=lambda path: len(path.parts), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)


def _remove_chains() -> None:
    """kube-proxy removes its chains but one, which it once shared with the kubelet."""
    _try(binary("kube-proxy"), "--cleanup")
    for program in ("iptables", "ip6tables"):
        for origin in ("INPUT", "OUTPUT"):
            _try(program, "--delete", origin, "--jump", "KUBE-FIREWALL")
        _try(program, "--flush", "KUBE-FIREWALL")
        _try(program, "--delete-chain", "KUBE-FIREWALL")


def _try(*command: str | Path) -> None:
    """A cut run has not made everything that is removed here."""
    subprocess.run(command, env=os.environ | {"PATH": SYSTEM_PATH}, capture_output=True, check=False)


def _remove_control_groups() -> None:
    """Those of Pods, the inner ones first; one that still has processes is another kubelet's and stays."""
    for top in [*_CONTROL_GROUPS.glob("kubepods"), *_CONTROL_GROUPS.glob("*/kubepods")]:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()

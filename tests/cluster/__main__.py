"""A whole cluster on this machine: python -m tests.cluster up | down

It runs real Pods and needs root. Starting it first removes what a run that was cut left.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Final

from tests.cluster.addresses import HOST, RUNTIME, STATE
from tests.cluster.control_plane import start_control_plane
from tests.cluster.leftovers import clean
from tests.cluster.locks import BusyError, exclusive
from tests.cluster.node import bring_up_bridge, start_node
from tests.cluster.processes import Identity, Programs

_GPUS: Final = 4
# Written last: a cluster without it is one whose start was cut.
_COMPLETE: Final = STATE / "complete"


def up() -> str:
    """Start the cluster, unless it runs. Returns the path of its administrator's kubeconfig."""
    kubeconfig = STATE / "admin.kubeconfig"
    if _COMPLETE.exists() and all(Identity.read(file).alive for file in STATE.glob("*.pid")):
        return str(kubeconfig)
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
    _COMPLETE.touch()
    return str(plane.kubeconfig)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    what = parser.parse_args().what
    if os.geteuid() != 0:
        sys.stderr.write("cluster: a node that runs Pods needs root; run it as root\n")
        return 1
    try:
        with exclusive(RUNTIME.with_suffix(".lock"), wait=False):
            if what == "up":
                sys.stdout.write(f"export KUBECONFIG={up()}\n")
            else:
                clean()
    except BusyError:
        sys.stderr.write("cluster: another command starts or stops the cluster now; wait for it\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

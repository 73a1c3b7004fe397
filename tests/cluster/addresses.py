"""Names and addresses of the cluster on this machine. Fixed: there is one at most, and the next run finds its remains."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

STATE: Final = Path("/var/lib/tuning-cluster")
RUNTIME: Final = Path("/run/tuning-cluster")
CONTAINERD: Final = RUNTIME / "containerd.sock"

NODE: Final = "tuning-node"
BRIDGE: Final = "tuning0"
PODS: Final = "10.88.0.0/16"
HOST: Final = "10.88.0.1"
"""The bridge's own address: where Pods find the API server and DNS, and the API server the kubelet. Not seen outside."""
DOMAIN: Final = "cluster.local"
PAUSE_IMAGE: Final = "localhost/pause:1"
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian has runc, iptables and ip, which may be elsewhere than the caller looks."""


def cache_folder() -> Path:
    """What is made once for all checkouts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tuning-operator"

"""Volumes for whoever claims one: folders of this machine, without a storage class."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.cluster.addresses import NODE
from tests.cluster.control_plane import Kubectl

_COUNT: Final = 12
_SIZE: Final = "10Gi"


def provide_volumes(kubectl: Kubectl, folder: Path) -> None:
    """Make the volumes that are missing, and make anew those whose claim is gone: nobody else could claim them."""
    volumes = json.loads(kubectl("get", "persistentvolumes", "--output=json"))["items"]
    phases = {volume["metadata"]["name"]: volume["status"].get("phase") for volume in volumes}
    for name in _names():
        if phases.get(name) == "Released":
            kubectl("delete", "persistentvolume", name)
            del phases[name]
        if name not in phases:
            path = folder / name
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            kubectl("create", "--filename=-", stdin=json.dumps(_volume(name, path)))


def _names() -> Iterator[str]:
    return (f"disk-{number}" for number in range(_COUNT))


def _volume(name: str, path: Path) -> dict[str, Any]:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": _SIZE},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            # Not hostPath, which leaves the folder root's: a Pod's fsGroup is heeded here as on a real disk.
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }

"""Every change of objects as the API server tells it, recorded from a moment on."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.cluster.waiting import until
from tests.support.kubernetes import ApiServer

Document = dict[str, Any]

_PATIENCE: Final = 30.0
_TERMINAL: Final = ("Succeeded", "Failed")


@dataclass
class Recording:
    """What a watch told so far."""

    events: list[Document] = field(default_factory=list)

    def objects(self, kind: str) -> list[Document]:
        """The objects of all events of a type, in order: ADDED, MODIFIED or DELETED."""
        return [event["object"] for event in self.events if event["type"] == kind]

    def most_at_once(self) -> int:
        """The largest number of recorded Pods that were not terminal after any one event."""
        phases: dict[str, str] = {}
        most = 0
        for event in self.events:
            pod = event["object"]
            phases[pod["metadata"]["uid"]] = _TERMINAL[0] if event["type"] == "DELETED" else pod["status"].get("phase", "")
            most = max(most, sum(phase not in _TERMINAL for phase in phases.values()))
        return most


@contextmanager
def recording(server: ApiServer, path: str, *, selector: str = "") -> Iterator[Recording]:
    """Record all changes of a collection, what there is being added first. At the end nothing is left out.

    Args:
        server: the API server.
        path: of the collection, such as ``/api/v1/namespaces/research/pods``.
        selector: of labels.
    """
    kubectl = server.plane.kubectl
    path = f"{path}?labelSelector={selector}"
    before = server.request("GET", path)
    recorded = Recording([{"type": "ADDED", "object": item} for item in before["items"]])
    # A watch without a version may be refused: "Too large resource version".
    watch = f"--raw={path}&watch=true&resourceVersion={before['metadata']['resourceVersion']}"
    command: list[str | Path] = [kubectl.program, f"--kubeconfig={kubectl.kubeconfig}", "get", watch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, recorded.events))
        reader.start()
        try:
            yield recorded
            until(lambda: _complete(server, path, recorded), seconds=_PATIENCE, what="the watch has told everything")
        finally:
            process.terminate()
            reader.join()


def _read(lines: Iterable[str], events: list[Document]) -> None:
    events.extend(json.loads(line) for line in lines)


def _complete(server: ApiServer, path: str, recorded: Recording) -> bool:
    there = {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in server.request("GET", path)["items"]}
    told: dict[str, str] = {}
    for event in list(recorded.events):
        metadata = event["object"]["metadata"]
        told[metadata["uid"]] = metadata["resourceVersion"]
        if event["type"] == "DELETED":
            del told[metadata["uid"]]
    return there == told

"""A namespace of a real API server, and what its owner does there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.cluster.control_plane import KubectlError
from tests.cluster.waiting import until
from tests.support.kubernetes import ApiServer

Document = dict[str, Any]

POD_SPEC: Final[Mapping[str, Any]] = {"containers": [{"name": "trainer", "image": "trainer:1"}]}
"""The plainest."""

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_PATIENCE: Final = 90.0  # some controllers look every twenty seconds


@dataclass(frozen=True)
class Namespace:
    """One that exists."""

    server: ApiServer
    name: str

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints, as an administrator."""
        return self.server.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    def objects(self, plural: str, *options: str) -> list[Document]:
        """Those of a kind."""
        items: list[Document] = json.loads(self.kubectl("get", plural, "--output=json", *options))["items"]
        return items

    def create(self, document: Document) -> None:
        """Create an object."""
        self.kubectl("create", "--filename=-", stdin=json.dumps(document))

    def limit(self, **hard: str) -> None:
        """A quota that is in force. Resources are written with _ for a dot and __ for a slash."""
        limits = {name.replace("__", "/").replace("_", "."): amount for name, amount in hard.items()}
        self.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": limits}})
        until(
            lambda: bool(re.search(r"(exceeded|failed) quota", self.objection())), seconds=_PATIENCE, what="the quota is in force"
        )

    def enforce_restricted(self) -> None:
        """Pod security that is in force."""
        self.server.kubectl("label", "namespace", self.name, f"{_ENFORCE}=restricted")
        until(lambda: "PodSecurity" in self.objection(), seconds=_PATIENCE, what="Pod security is in force")

    def enforce_nothing(self) -> None:
        """No Pod security any more, soon."""
        self.server.kubectl("label", "namespace", self.name, f"{_ENFORCE}-")

    def wait_ready(self) -> None:
        """Wait until Pods may be made: a controller makes the service account that they need."""
        until(lambda: self.objection() == "", seconds=_PATIENCE, what="the namespace has its service account")

    def objection(self) -> str:
        """What the API server has against one more plain Pod or Job: its plugins learn of changes a moment later."""
        pod = {"spec": {**POD_SPEC, "restartPolicy": "Never"}}
        probe = {"metadata": {"name": "probe"}}
        items = [
            {"apiVersion": "v1", "kind": "Pod", **probe, **pod},
            {"apiVersion": "batch/v1", "kind": "Job", **probe, "spec": {"template": pod}},
        ]
        documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        try:
            self.kubectl("create", "--dry-run=server", "--filename=-", stdin=documents)
        except KubectlError as error:
            return str(error)
        return ""

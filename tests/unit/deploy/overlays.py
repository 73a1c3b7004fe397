"""The manifests of deploy/ as kubectl builds them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from tests.cluster.binaries import binary

Document = dict[str, Any]

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
OVERLAYS: Final = tuple(sorted(path.name for path in (DEPLOY / "overlays").iterdir()))
NAMESPACE: Final = "tuning-system"

_WORKLOADS: Final = frozenset(("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet"))


@dataclass(frozen=True)
class Overlay:
    """What `kubectl apply -k deploy/overlays/NAME` applies."""

    name: str
    documents: Sequence[Document]

    def of(self, kind: str) -> list[Document]:
        """Every object of a kind."""
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str, name: str) -> Document:
        """The object of that name."""
        (found,) = [document for document in self.of(kind) if document["metadata"]["name"] == name]
        return found

    @property
    def workloads(self) -> list[Document]:
        """Whatever makes Pods."""
        return [document for document in self.documents if document["kind"] in _WORKLOADS]

    @property
    def templates(self) -> list[Document]:
        """Their Pod templates."""
        return [workload["spec"]["template"] for workload in self.workloads]

    @property
    def operator(self) -> Document:
        """The operator's own container."""
        (container,) = self.one("Deployment", "tuning-operator")["spec"]["template"]["spec"]["containers"]
        return dict(container)

    @property
    def environment(self) -> dict[str, Document]:
        """The operator's variables by name."""
        return {variable["name"]: variable for variable in self.operator["env"]}


def containers(template: Document) -> Iterator[Document]:
    """Every container of a Pod template, those that run before the others included."""
    spec = template["spec"]
    yield from (*spec.get("initContainers", ()), *spec["containers"])


@cache
def overlay(name: str) -> Overlay:
    """An overlay, built."""
    return build(DEPLOY / "overlays" / name)


def build(folder: Path) -> Overlay:
    """What a folder with a kustomization makes."""
    command: list[str | Path] = [binary("kubectl"), "kustomize", folder]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    # What kubectl warns about today is refused tomorrow.
    assert not built.stderr, built.stderr
    return Overlay(folder.name, tuple(YAML(typ="safe").load_all(built.stdout)))

"""The operator as a platform team installs it, on a real cluster, and what tests do with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy as sa
from tests.cluster.control_plane import Kubectl
from tests.cluster.waiting import until

Document = dict[str, Any]

SYSTEM: Final = "tuning-system"
OVERLAY: Final = Path(__file__).parents[3] / "deploy" / "overlays" / "postgres"
TRAINER: Final = "tuning-trainer:0.1.0"
PATIENCE: Final = 300.0
OURS: Final = "app.kubernetes.io/managed-by=tuning-operator"
_TERMINAL: Final = ("Succeeded", "Failed")


@dataclass
class Installation:
    """A running operator, with the database of its overlay."""

    kubectl: Kubectl

    @classmethod
    def install(cls, kubectl: Kubectl) -> Installation:
        """Do what the README says, and wait until it is ready."""
        installed = cls(kubectl)
        there = kubectl("get", "deployment", f"--namespace={SYSTEM}", "--ignore-not-found", "--output=name")
        kubectl("apply", f"--kustomize={OVERLAY}")
        if there:
            # Its image has the same name and may be another one.
            kubectl("rollout", "restart", "deployment/tuning-operator", f"--namespace={SYSTEM}")
        installed.wait_ready()
        return installed

    def wait_ready(self) -> None:
        """Wait for database and operator."""
        self.kubectl("rollout", "status", "statefulset/tuning-database", f"--namespace={SYSTEM}", "--timeout=300s")
        self.kubectl("rollout", "status", "deployment/tuning-operator", f"--namespace={SYSTEM}", "--timeout=300s")

    # Studies

    def apply(self, namespace: str, document: Mapping[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=json.dumps(document))

    def get(self, *arguments: str) -> Document:
        """The object or list that `kubectl get` gets."""
        document: Document = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return document

    def study(self, namespace: str, name: str) -> Document:
        """The object."""
        return self.get("tuningstudy", name, f"--namespace={namespace}")

    def conditions(self, namespace: str, name: str) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition."""
        found = self.study(namespace, name).get("status", {}).get("conditions", ())
        return {condition["type"]: (condition["status"], condition["reason"]) for condition in found}

    def wait(self, namespace: str, name: str, condition: str, *, value: str = "True", seconds: float = PATIENCE) -> None:
        """kubectl wait."""
        self.kubectl(
            "wait",
            f"tuningstudy/{name}",
            f"--namespace={namespace}",
            f"--for=condition={condition}={value}",
            f"--timeout={seconds:.0f}s",
        )

    def pods(self, namespace: str) -> list[Document]:
        """Pods of trials."""
        return list(self.get("pods", f"--namespace={namespace}", f"--selector={OURS}")["items"])

    def running(self, namespace: str) -> list[str]:
        """Names of the trials' Pods whose containers run."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(namespace)
            if any("running" in status["state"] for status in pod["status"].get("containerStatuses", ()))
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def wait_running(self, namespace: str, count: int = 1) -> list[str]:
        """Wait until so many trials run. Returns the names of their Pods."""
        until(lambda: len(self.running(namespace)) >= count, seconds=PATIENCE, what=f"{count} trials run in {namespace}")
        return self.running(namespace)

    def let_go(self, namespace: str, pod: str) -> None:
        """Let a container end that waits for /tmp/go."""
        self.kubectl("exec", pod, f"--namespace={namespace}", "--", "touch", "/tmp/go")

    # The database

    @contextmanager
    def database(self) -> Iterator[str]:
        """Its URL, as this machine reaches it: by the Pod's address."""
        secret = self.get("secret", "tuning-database", f"--namespace={SYSTEM}")
        pod = self.get("pod", "tuning-database-0", f"--namespace={SYSTEM}")
        encoded = self.kubectl(
            "get", "secret", "tuning-database", f"--namespace={SYSTEM}", "--output=go-template={{.data.url | base64decode}}"
        )
        assert secret["data"].keys() == {"password", "url"}
        yield sa.make_url(encoded).set(host=pod["status"]["podIP"]).render_as_string(hide_password=False)

    def stock_trials(self, namespace: str, name: str) -> list[optuna.trial.FrozenTrial]:
        """The trials of the newest study of that name, as stock Optuna reads them."""
        uid = self.study(namespace, name)["metadata"]["uid"][:8]
        return self.stored_trials(f"{namespace}/{name}/{uid}")

    def stored_trials(self, study_name: str) -> list[optuna.trial.FrozenTrial]:
        """The trials of a study, as stock Optuna reads them."""
        with self.database() as url:
            storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": sa.NullPool})
            return optuna.load_study(study_name=study_name, storage=storage).get_trials()

    # The operator itself

    def operator_pod(self) -> str:
        """Its Pod."""
        pods = self.get("pods", f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/name=tuning-operator")
        return str(next(pod["metadata"]["name"] for pod in pods["items"] if "deletionTimestamp" not in pod["metadata"]))

    def kill_operator(self) -> None:
        """SIGKILL, and a new Pod at once instead of the kubelet's growing pauses."""
        pod = self.operator_pod()
        uid = self.get("pod", pod, f"--namespace={SYSTEM}")["metadata"]["uid"]
        for process in _processes_of(uid):
            os.kill(process, signal.SIGKILL)
        self.kubectl("delete", "pod", pod, f"--namespace={SYSTEM}", "--grace-period=0", "--force", "--wait=false")

    def scale_operator(self, replicas: int) -> None:
        """Stop or start it, and wait until that is done."""
        self.kubectl("scale", "deployment/tuning-operator", f"--namespace={SYSTEM}", f"--replicas={replicas}")
        if replicas:
            self.wait_ready()
        else:
            selector = "--selector=app.kubernetes.io/name=tuning-operator"
            self.kubectl("wait", "pods", f"--namespace={SYSTEM}", selector, "--for=delete", "--timeout=120s")


def _processes_of(pod_uid: str) -> list[int]:
    """Processes of the operator in a Pod, as this machine, which is its node, knows them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            in_pod = pod_uid in (folder / "cgroup").read_text().replace("_", "-")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if in_pod and b"tuning-operator" in command:
            found.append(int(folder.name))
    assert found, f"Pod {pod_uid} has a process"
    return found


@dataclass
class PodWatch:
    """Every change of the trials' Pods of a namespace, as the API server tells it."""

    events: list[Document] = field(default_factory=list)

    def most_at_once(self, study_uid: str) -> int:
        """The largest number of Pods of a study that were not terminal after any one event."""
        phases: dict[str, str] = {}
        most = 0
        for event in self._of(study_uid):
            pod = event["object"]
            if event["type"] == "DELETED":
                phases.pop(pod["metadata"]["uid"], None)
            else:
                phases[pod["metadata"]["uid"]] = pod["status"].get("phase", "")
            most = max(most, sum(phase not in _TERMINAL for phase in phases.values()))
        return most

    def attempts(self, study_uid: str) -> dict[tuple[int, int], set[str]]:
        """Uids of the Pods that ran each attempt of each trial."""
        pods: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
        for event in self._of(study_uid):
            labels = event["object"]["metadata"]["labels"]
            key = int(labels["tuningstudy.dev/trial"]), int(labels["tuningstudy.dev/attempt"])
            pods[key].add(event["object"]["metadata"]["uid"])
        return pods

    def _of(self, study_uid: str) -> list[Document]:
        label = "tuningstudy.dev/study-uid"
        return [event for event in self.events if event["object"]["metadata"]["labels"].get(label) == study_uid]


@contextmanager
def watching_pods(kubectl: Kubectl, namespace: str) -> Iterator[PodWatch]:
    """Watch the trials' Pods of a namespace, beginning now."""
    pods = f"/api/v1/namespaces/{namespace}/pods?labelSelector={OURS}"
    # From a version that the server has told: of none it may still be waiting for what others have seen.
    version = json.loads(kubectl("get", f"--raw={pods}"))["metadata"]["resourceVersion"]
    path = f"{pods}&watch=true&resourceVersion={version}"
    command = [str(kubectl.program), f"--kubeconfig={kubectl.kubeconfig}", "get", f"--raw={path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = PodWatch()
        assert process.stdout is not None
        lines = process.stdout

        def read() -> None:
            watch.events.extend(json.loads(line) for line in lines)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield watch
        finally:
            process.terminate()
            reader.join()

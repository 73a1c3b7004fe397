"""A node that runs nothing: what a kubelet would write about Pods, written by a test."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from tests.support.kubernetes import AbsentError, ApiServer

Document = dict[str, Any]

NODE: Final = "simulated-node"
_KILLED: Final = 137
_PATCH: Final = "application/strategic-merge-patch+json"


class SimulatedKubelet:
    """The kubelet of one node, which exists as an object alone."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def register(self) -> None:
        """Say that the node is there: Pods on nodes that are not are removed after a while."""
        self._server.request("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})

    def run(self, namespace: str, pod: str) -> None:
        """Place a Pod on the node, as the scheduler does, and start its containers."""
        self._place(namespace, pod)
        self._write(namespace, pod, phase="Running", containers={"running": {"startedAt": _now()}})

    def fail_to_pull(self, namespace: str, pod: str, image: str) -> None:
        """Place a Pod on the node, and say that its image is nowhere to be found."""
        self._place(namespace, pod)
        waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}": not found'}
        self._write(namespace, pod, phase="Pending", containers={"waiting": waiting}, image=image)

    def end(self, namespace: str, pod: str, code: int, *, message: str = "", reason: str = "", disruption: str = "") -> None:
        """End the containers of a Pod.

        Args:
            namespace: of the Pod.
            pod: its name.
            code: exit code.
            message: termination message.
            reason: of the termination; the usual one when empty.
            disruption: reason of a DisruptionTarget condition; none when empty.
        """
        why = reason or ("Error" if code else "Completed")
        terminated = {"terminated": {"exitCode": code, "reason": why, "message": message, "finishedAt": _now()}}
        conditions = [_condition("DisruptionTarget", disruption)] if disruption else []
        self._write(namespace, pod, phase="Failed" if code else "Succeeded", conditions=conditions, containers=terminated)

    def end_beside_another(self, namespace: str, pod: str, code: int, *, message: str = "") -> None:
        """End the trial of a Pod, while another container runs on."""
        terminated = {"terminated": {"exitCode": code, "reason": "Error", "message": message, "finishedAt": _now()}}
        self._write(namespace, pod, phase="Running", containers=terminated, beside={"running": {"startedAt": _now()}})

    def obey(self, namespace: str) -> None:
        """Kill the containers of every Pod that is being deleted, and forget it."""
        for pod in self._server.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"] and pod["spec"].get("nodeName") == NODE:
                with suppress(AbsentError):  # a controller was faster
                    if pod["status"]["phase"] not in ("Succeeded", "Failed"):
                        self.end(namespace, name, _KILLED)
                    self.forget(namespace, name)

    def forget(self, namespace: str, pod: str) -> None:
        """Say that nothing of a Pod is left on the node: the end of a deletion."""
        self._server.request("DELETE", _path(namespace, pod), {"gracePeriodSeconds": 0})

    def _place(self, namespace: str, pod: str) -> None:
        binding = {"metadata": {"name": pod}, "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}}
        self._server.request("POST", f"{_path(namespace, pod)}/binding", binding)

    def _write(
        self,
        namespace: str,
        pod: str,
        *,
        phase: str,
        containers: Document,
        conditions: list[Document] | None = None,
        image: str = "trainer:1",
        beside: Document | None = None,
    ) -> None:
        states = {"trainer": containers} | ({"proxy": beside} if beside else {})
        status = {
            "phase": phase,
            "conditions": [_condition("PodScheduled", ""), *(conditions or [])],
            "containerStatuses": [_container(name, image, state) for name, state in states.items()],
        }
        self._server.request("PATCH", f"{_path(namespace, pod)}/status", {"status": status}, content_type=_PATCH)


def _path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{pod}"


def _container(name: str, image: str, state: Document) -> Document:
    return {"name": name, "image": image, "imageID": "", "ready": False, "restartCount": 0, "state": state}


def _condition(kind: str, reason: str) -> Document:
    return {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

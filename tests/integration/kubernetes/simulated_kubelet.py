"""A node that runs nothing: what a kubelet would write about Pods, written by a test."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from kubernetes.client import CoreV1Api, V1Node, V1ObjectMeta
from tests.support.kubernetes import ApiServer

Document = dict[str, Any]

NODE: Final = "simulated-node"
_TIMEOUT: Final = 30


class SimulatedKubelet:
    """The kubelet of one node, which exists as an object alone."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._core = CoreV1Api(server.client)

    def register(self) -> None:
        """Say that the node is there: Pods on nodes that are not are removed after a while."""
        self._core.create_node(V1Node(metadata=V1ObjectMeta(name=NODE)), _request_timeout=_TIMEOUT)

    def run(self, namespace: str, pod: str) -> None:
        """Place a Pod on the node, as the scheduler does, and start its containers."""
        binding = {"metadata": {"name": pod}, "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/binding"
        self._server.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(binding))
        running = {"running": {"startedAt": _now()}}
        self._write(namespace, pod, phase="Running", conditions=[_condition("PodScheduled", "")], containers=running)

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
        conditions = [_condition("PodScheduled", "")]
        conditions += [_condition("DisruptionTarget", disruption)] if disruption else []
        why = reason or ("Error" if code else "Completed")
        terminated = {"terminated": {"exitCode": code, "reason": why, "message": message, "finishedAt": _now()}}
        phase = "Failed" if code else "Succeeded"
        self._write(namespace, pod, phase=phase, conditions=conditions, containers=terminated)

    def forget(self, namespace: str, pod: str) -> None:
        """Say that nothing of a Pod is left on the node: the end of a deletion."""
        self._core.delete_namespaced_pod(pod, namespace, grace_period_seconds=0, _request_timeout=_TIMEOUT)

    def _write(self, namespace: str, pod: str, *, phase: str, conditions: list[Document], containers: Document) -> None:
        status = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [
                {"name": "trainer", "image": "trainer:1", "imageID": "", "ready": False, "restartCount": 0, "state": containers}
            ],
        }
        self._core.patch_namespaced_pod_status(pod, namespace, {"status": status}, _request_timeout=_TIMEOUT)


def _condition(kind: str, reason: str) -> Document:
    return {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

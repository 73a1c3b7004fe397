"""A simulated node, as a process of its own: `python -m bench.orchestration.simulated_kubelet`.

It is told of new Jobs and ends each by writing what a cluster would write that is quick: the Pod of the Job controller,
placed already, its end with a result in the termination message, then the completion of the Job. Where the real Job
controller runs, it is told of new Pods, and writes their ends alone. Nothing of this is counted as the operator's.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.orchestration.manifest import result_of
from bench.orchestration.raw_api import MERGE_PATCH, Document, RawApi, raw_api, read_access
from bench.orchestration.scenarios import AT_ONCE, Pace

from tuning_operator.runtime.kubernetes.names import SELECTOR

USER: Final = "simulated-kubelet"
READY: Final = "ready"
"""Printed once it can begin: what comes before is the start of a program."""
END: Final = "end-of-trial"
"""Field manager of the write that ends a trial, by which the audit log tells it from others."""

_NODE: Final = "simulated-node"


class SimulatedKubelet:
    """Ends what is started in one namespace."""

    def __init__(self, api: RawApi, namespace: str, pace: Pace) -> None:
        self._api = api
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._pace = pace

    async def end_jobs(self) -> None:
        """For ever, without a Job controller."""
        async with asyncio.TaskGroup() as tasks:
            async for job in self._api.objects(f"{self._jobs}?labelSelector={SELECTOR}"):
                tasks.create_task(self._run_job(job))

    async def end_pods(self) -> None:
        """For ever, with the real Job controller."""
        async with asyncio.TaskGroup() as tasks:
            async for pod in self._api.objects(f"{self._pods}?labelSelector={SELECTOR}"):
                tasks.create_task(self._run(pod["metadata"]["name"], {"spec": {"template": pod}}))

    async def _run_job(self, job: Document) -> None:
        name, began = job["metadata"]["name"], _now()
        pod = f"{name}-run"
        await self._api.send("POST", self._pods, _pod(pod, job))
        await self._run(pod, job)
        ended = [{"type": kind, "status": "True", "lastTransitionTime": _now()} for kind in ("SuccessCriteriaMet", "Complete")]
        status = {"startTime": began, "completionTime": _now(), "succeeded": 1, "conditions": ended}
        await self._patch(f"{self._jobs}/{name}/status", status)

    async def _run(self, pod: str, job: Mapping[str, Any]) -> None:
        began, path = _now(), f"{self._pods}/{pod}/status"
        if self._pace != AT_ONCE:
            await self._patch(path, _pod_status("Running", began, {"running": {"startedAt": began}}))
            await asyncio.sleep(self._pace.of(pod.rpartition("-")[0]))
        times = {"startedAt": began, "finishedAt": _now()}
        exited = {"exitCode": 0, "reason": "Completed", "message": result_of(job), **times}
        await self._patch(f"{path}?fieldManager={END}", _pod_status("Succeeded", began, {"terminated": exited}))

    async def _patch(self, path: str, status: Document) -> None:
        await self._api.send("PATCH", path, {"status": status}, content_type=MERGE_PATCH)


def _pod(name: str, job: Document) -> Document:
    """As the Job controller makes it, and bound to a node."""
    template, about = job["spec"]["template"], job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": about["name"], "uid": about["uid"]}
    metadata = {
        "name": name,
        "labels": template["metadata"]["labels"],
        "annotations": template["metadata"]["annotations"],
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**template["spec"], "nodeName": _NODE}}


def _pod_status(phase: str, placed: str, state: Document) -> Document:
    container = {"name": "trainer", "image": "trainer:1", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": placed}]
    return {"phase": phase, "startTime": placed, "conditions": conditions, "containerStatuses": [container]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _main(arguments: argparse.Namespace) -> None:
    async with raw_api(read_access(arguments.kubeconfig)) as api:
        kubelet = SimulatedKubelet(api, arguments.namespace, arguments.pace)
        print(READY, flush=True)
        await (kubelet.end_pods() if arguments.job_controller else kubelet.end_jobs())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--pace", type=Pace.parse, default=AT_ONCE)
    parser.add_argument("--job-controller", action="store_true")
    asyncio.run(_main(parser.parse_args()))

"""The floor, as a process of its own: `python -m bench.orchestration.floor`.

A bare asynchronous client that creates Jobs like the operator's, watches them and replaces each that is complete. It has no
sampler, no database, no status and no memory. What it does not reach on a machine, nobody does with one Job per trial.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
from bench.orchestration.manifest import study
from bench.orchestration.scenarios import Scenario
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from tuning_operator.api.contract import environment
from tuning_operator.api.manifest import parse
from tuning_operator.api.parameters import Parameters
from tuning_operator.runtime.kubernetes.job import StudyRef, build
from tuning_operator.runtime.protocol import AttemptKey, Launch

Document = dict[str, Any]

_FOR_EVER = aiohttp.ClientTimeout(total=None)


class Floor:
    """Jobs of one namespace."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._path = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    async def create(self, job: Document) -> None:
        """Create a Job."""
        answer = await self._request("POST", self._path, job)
        text = await answer.text()
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(text)

    async def version(self) -> str:
        """That of the collection now."""
        listed = json.loads(await (await self._request("GET", self._path)).text())
        return str(listed["metadata"]["resourceVersion"])

    async def completed(self, version: str) -> AsyncIterator[str]:
        """Names of Jobs as they complete, from a version on."""
        answer = await self._request("GET", f"{self._path}?watch=true&resourceVersion={version}")
        async for line in answer.content:
            event = json.loads(line)
            if event["type"] == "MODIFIED" and event["object"]["status"].get("completionTime"):
                yield event["object"]["metadata"]["name"]

    async def _request(self, method: str, path: str, body: Document | None = None) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        request = await self._client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        answer: aiohttp.ClientResponse = (await self._client.call_api(*request, _request_timeout=_FOR_EVER)).response
        return answer


def jobs(namespace: str, count: int) -> list[Document]:
    """Bodies as the operator makes them, all of one configuration."""
    spec = parse(study("floor", Scenario(trials=count))).spec
    reference = StudyRef(namespace=namespace, name="floor", uid="00000000-0000-0000-0000-000000000000")
    values: Parameters = {"learning_rate": 0.001, "batch_size": 64, "layers": 4, "dropout": 0.2, "optimizer": "adam"}
    made = []
    for number in range(count):
        variables = environment(
            study=f"{namespace}/floor", trial=number, role="search", parameters=values, seed=number, spec=spec
        )
        launch = Launch(key=AttemptKey(number, 0), environment=variables)
        made.append(build(reference, spec.trial, launch, endpoint="http://127.0.0.1:8080"))
    return made


async def _main(arguments: argparse.Namespace) -> None:
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    await config.load_kube_config(str(arguments.kubeconfig), client_configuration=configuration)
    bodies = jobs(arguments.namespace, arguments.trials)
    async with ApiClient(configuration) as client, asyncio.TaskGroup() as tasks:
        floor = Floor(client, arguments.namespace)
        version = await floor.version()
        waiting = iter(bodies)
        for body in islice(waiting, arguments.parallelism):
            tasks.create_task(floor.create(body))
        if arguments.leave:
            return
        left = len(bodies)
        async for _name in floor.completed(version):
            left -= 1
            for body in islice(waiting, 1):
                tasks.create_task(floor.create(body))
            if left == 0:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--parallelism", type=int, required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--leave", action="store_true", help="create the first Jobs, and end")
    started = time.process_time()
    asyncio.run(_main(parser.parse_args()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"cpu": time.process_time() - started, "peak": peak}))

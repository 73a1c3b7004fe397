"""An API server that answers what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes.client import ApiClient, Configuration

from tuning_operator.cli.cluster import Answer, Cluster, UnreachableError
from tuning_operator.gateway.people import VERSION_HEADER

GATEWAY = "/api/v1/namespaces/tuning-system/services/tuning-operator:gateway/proxy/v1/studies/research/digits"
PROGRESS = f"{GATEWAY}/progress"
OBJECT = "/apis/tuningstudy.dev/v1alpha1/namespaces/research/tuningstudies/digits"


@dataclass(frozen=True, kw_only=True)
class Request:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ScriptedCluster(Cluster):
    """For each path answers in their order, the last of them for good. None stands for silence."""

    client: ApiClient = field(default_factory=lambda: ApiClient(Configuration(host="https://192.0.2.7")))
    namespace: str = "research"
    given: str | None = "of-the-kubeconfig"
    answers: dict[str, list[Answer | None]] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)

    @property
    def token(self) -> str | None:
        return self.given

    def get(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> Answer:
        self.asked.append(Request(path=path, query=query or {}, headers=headers or {}))
        answers = self.answers[path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            raise UnreachableError("the API server does not answer")
        return answer


def of_api_server(status: int, message: str) -> Answer:
    """A refusal of the API server's own."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
    return Answer(status=status, headers={}, body=json.dumps(body).encode())


def of_gateway(status: int, error: str, *, version: str | None = "1.2.3") -> Answer:
    """A refusal of the gateway's."""
    headers = {VERSION_HEADER: version} if version else {}
    return Answer(status=status, headers=headers, body=json.dumps({"error": error}).encode())


def fine(document: Any) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status=200, headers={VERSION_HEADER: "1.2.3"}, body=body)

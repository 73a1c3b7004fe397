"""Answers that a healthy API server does not give at will: from a server of ours, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from tuning_operator.api.study import TrialTemplate
from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind
from tuning_operator.runtime.kubernetes.client import (
    ApiUnavailableError,
    ConflictError,
    KubernetesApi,
    NotFoundError,
    RequestRefusedError,
)
from tuning_operator.runtime.kubernetes.job import StudyRef
from tuning_operator.runtime.kubernetes.runtime import KubernetesRuntime, StartRefusedError
from tuning_operator.runtime.protocol import AttemptKey, Launch

STUDY: Final = StudyRef(namespace="research", name="digits", uid="7d1c9f60-0000-4000-8000-000000000001")
LAUNCH: Final = Launch(key=AttemptKey(0, 0), environment={"TUNING_ROLE": "search"})
TRIAL: Final = TrialTemplate.model_validate_json(
    '{"gpus": 0, "template": {"spec": {"containers": [{"name": "trainer", "image": "trainer:1"}]}}}'
)


BROKEN: Final = web.Response()
"""Instead of an answer the connection breaks."""


def refused(code: int, reason: str, message: str = "no") -> web.Response:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}
    return web.json_response(status, status=code)


def page(names: list[str], *, following: str = "") -> web.Response:
    items = [{"metadata": {"name": name}} for name in names]
    return web.json_response({"metadata": {"resourceVersion": "7", "continue": following}, "items": items})


@dataclass
class Answers:
    """What the server answers, one after the other, and what it was asked."""

    prepared: list[web.Response] = field(default_factory=list)
    asked: list[tuple[web.Request, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request, json.loads(await request.text() or "null")))
        prepared = self.prepared.pop(0)
        if prepared is BROKEN:
            assert request.transport is not None
            request.transport.abort()
        return prepared


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def api(answers: Answers) -> AsyncIterator[KubernetesApi]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answers.answer)
    async with TestServer(application) as server:
        configuration = Configuration(
            host=f"http://{server.host}:{server.port}",
            api_key={"BearerToken": "Bearer secret"},
            client_session_kwargs={"trust_env": False},
        )
        async with ApiClient(configuration) as client:
            yield KubernetesApi(client)


LATER: Final = {
    "too many requests": (web.Response(status=429, headers={"Retry-After": "3"}), 3.0),
    "a server that restarts": (refused(503, "ServiceUnavailable"), None),
    "a token that has just been renewed": (refused(401, "Unauthorized"), None),
    "a proxy in trouble": (web.Response(status=502, text="<html>Bad Gateway</html>"), None),
    "success that is none of Kubernetes": (web.Response(status=200, text="<html>Please sign in</html>"), None),
    "a connection that breaks": (BROKEN, None),
    "a date to come back at": (web.Response(status=503, headers={"Retry-After": "Mon, 23 Nov 2026 12:00:00 GMT"}), None),
}


@pytest.mark.parametrize("name", LATER)
async def test_what_passes_by_itself_is_tried_later(api: KubernetesApi, answers: Answers, name: str) -> None:
    answer, after = LATER[name]
    answers.prepared = [answer]
    with pytest.raises(ApiUnavailableError, match=r"the Kubernetes API is not available: .") as error:
        await api.read_job("research", "digits-1")
    assert error.value.retry_after == after


REFUSED: Final = {
    "not found": (refused(404, "NotFound"), NotFoundError),
    "a conflict": (refused(409, "Conflict"), ConflictError),
    "forbidden": (refused(403, "Forbidden"), RequestRefusedError),
    "forbidden by a proxy": (web.Response(status=403, text="blocked"), RequestRefusedError),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_stays_refused_says_what_it_is(api: KubernetesApi, answers: Answers, name: str) -> None:
    answer, kind = REFUSED[name]
    answers.prepared = [answer]
    with pytest.raises(RequestRefusedError) as error:
        await api.read_job("research", "digits-1")
    assert type(error.value) is kind
    assert error.value.code == answer.status


async def test_a_request_carries_the_token_and_escapes_names(api: KubernetesApi, answers: Answers) -> None:
    answers.prepared = [page([])]
    await api.delete(Kind.POD, "research", "a/b", uid="u", grace=0)
    ((request, body),) = answers.asked
    assert request.headers["Authorization"] == "Bearer secret"
    assert (request.method, request.raw_path) == ("DELETE", "/api/v1/namespaces/research/pods/a%2Fb")
    assert body == {"preconditions": {"uid": "u"}, "gracePeriodSeconds": 0}


async def test_a_list_asks_for_the_next_page_until_there_is_none(api: KubernetesApi, answers: Answers) -> None:
    answers.prepared = [page(["a"], following="next"), page(["b"])]
    listing = await api.list_all(Kind.JOB, None, labels="x=y")
    assert ([item["metadata"]["name"] for item in listing.items], listing.version) == (["a", "b"], 7)
    assert [request.query.get("continue") for request, _ in answers.asked] == [None, "next"]
    assert {(request.path, request.query["labelSelector"]) for request, _ in answers.asked} == {("/apis/batch/v1/jobs", "x=y")}


async def test_a_list_whose_next_page_expired_is_tried_later(api: KubernetesApi, answers: Answers) -> None:
    answers.prepared = [page(["a"], following="next"), refused(410, "Expired", "too old")]
    with pytest.raises(ApiUnavailableError, match="too old"):
        await api.list_all(Kind.JOB, "research", labels="x=y")


async def test_what_was_known_stays_when_a_list_fails(api: KubernetesApi, answers: Answers) -> None:
    cluster = KubernetesRuntime(api, ClusterCache(), clock=lambda: 0.0)
    runtime = cluster.for_study(STUDY, lambda: TRIAL, endpoint=None)
    await started(cluster, answers)
    answers.prepared = [page([]), refused(500, "InternalError")]
    with pytest.raises(ApiUnavailableError):
        await cluster.relist()
    assert list(runtime.observe()) == [LAUNCH.key]


async def started(cluster: KubernetesRuntime, answers: Answers) -> None:
    """Start the attempt on a server that creates whatever it is sent."""
    answers.prepared = [web.json_response({})]
    probe = cluster.for_study(STUDY, lambda: TRIAL, endpoint=None)
    await probe.dry_run(LAUNCH)
    sent: dict[str, Any] = answers.asked[-1][1]
    sent["metadata"] |= {"uid": "job-1", "resourceVersion": "5", "creationTimestamp": "2026-11-23T12:00:00Z"}
    answers.prepared = [web.json_response(sent, status=201)]
    await probe.start(LAUNCH)


async def test_a_webhook_that_does_not_answer_is_a_passing_cause(api: KubernetesApi, answers: Answers) -> None:
    said = 'Internal error occurred: failed calling webhook "kueue.x-k8s.io": connection refused'
    answers.prepared = [refused(500, "InternalError", said)]
    runtime = KubernetesRuntime(api, ClusterCache(), clock=lambda: 0.0).for_study(STUDY, lambda: TRIAL, endpoint=None)
    with pytest.raises(StartRefusedError):
        await runtime.start(LAUNCH)
    assert [(cause.reason, cause.passing) for cause in runtime.causes()] == [("WebhookUnavailable", True)]


async def test_a_conflict_without_a_job_of_that_name_is_no_cause(api: KubernetesApi, answers: Answers) -> None:
    answers.prepared = [refused(409, "Conflict", "Operation cannot be fulfilled on resourcequotas"), refused(404, "NotFound")]
    runtime = KubernetesRuntime(api, ClusterCache(), clock=lambda: 0.0).for_study(STUDY, lambda: TRIAL, endpoint=None)
    with pytest.raises(ApiUnavailableError, match="resourcequotas"):
        await runtime.start(LAUNCH)
    assert runtime.causes() == ()


async def test_a_stop_that_was_not_taken_is_asked_again(api: KubernetesApi, answers: Answers) -> None:
    cluster = KubernetesRuntime(api, ClusterCache(), clock=lambda: 0.0)
    runtime = cluster.for_study(STUDY, lambda: TRIAL, endpoint=None)
    await started(cluster, answers)
    answers.prepared = [refused(503, "ServiceUnavailable")]
    with pytest.raises(ApiUnavailableError):
        await runtime.stop(LAUNCH.key)
    assert not runtime.observe()[LAUNCH.key].stopping


async def test_a_permission_that_is_missing_is_said(api: KubernetesApi, answers: Answers) -> None:
    cluster = KubernetesRuntime(api, ClusterCache(), clock=lambda: 0.0)
    runtime = cluster.for_study(STUDY, lambda: TRIAL, endpoint=None)
    await started(cluster, answers)
    answers.prepared = [refused(403, "Forbidden", 'User "operator" cannot delete resource "jobs"')]
    with pytest.raises(ApiUnavailableError, match="cannot delete resource"):
        await runtime.stop(LAUNCH.key)

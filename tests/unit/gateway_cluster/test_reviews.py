"""Reviews by an API server: requests, answers, and all that is no answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from tuning_operator.gateway.desk import Unavailable
from tuning_operator.gateway.reviews import Access, ClusterReviews, User, authenticated

TOKEN = "a-secret-token"
ALICE = {"username": "alice", "uid": "a", "groups": ["vision"], "extra": {"pod": ["one"], "node": ["gpu", "1"]}}
ACCESS = Access(verb="get", group="tuningstudy.dev", resource="tuningstudies", namespace="team", name="digits")


class Server:
    """Keeps what it was asked and says what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answer: Callable[[], web.Response] = lambda: created({})

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json()))
        return self.answer()


def created(status: object) -> web.Response:
    return web.json_response({"status": status}, status=201)


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def reviews(server: Server) -> AsyncIterator[ClusterReviews]:
    application = web.Application()
    application.router.add_post("/{path:.*}", server.handle)
    async with (
        TestServer(application) as running,
        ApiClient(Configuration(host=str(running.make_url("")), client_session_kwargs={"trust_env": False})) as client,
    ):
        yield ClusterReviews(client)


async def test_a_token_is_reviewed_for_its_audience(server: Server, reviews: ClusterReviews) -> None:
    server.answer = lambda: created({"authenticated": True, "audiences": ["gateway"], "user": ALICE})
    user = await reviews.user(TOKEN, audience="gateway")
    assert user == User("alice", uid="a", groups=("vision",), extra=(("node", ("gpu", "1")), ("pod", ("one",))))
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": TOKEN, "audiences": ["gateway"]},
    }
    assert server.asked == [("/apis/authentication.k8s.io/v1/tokenreviews", review)]


async def test_access_is_reviewed_for_all_that_is_known_of_a_user(server: Server, reviews: ClusterReviews) -> None:
    server.answer = lambda: created({"allowed": True})
    assert await reviews.allowed(User("alice", uid="a", groups=("vision",), extra=(("pod", ("one",)),)), ACCESS)
    spec = {
        "user": "alice",
        "uid": "a",
        "groups": ["vision"],
        "extra": {"pod": ["one"]},
        "resourceAttributes": {
            "verb": "get",
            "group": "tuningstudy.dev",
            "resource": "tuningstudies",
            "namespace": "team",
            "name": "digits",
        },
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    assert server.asked == [("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)]


@pytest.mark.parametrize("status", [{}, {"allowed": False}, {"allowed": False, "evaluationError": "no such role"}, None])
async def test_what_is_not_allowed_is_denied(server: Server, reviews: ClusterReviews, status: object) -> None:
    server.answer = lambda: created(status)
    assert not await reviews.allowed(User("alice"), ACCESS)


@pytest.mark.parametrize(
    ("audiences", "audience"),
    [
        pytest.param({"audiences": ["gateway"]}, "gateway", id="the gateway"),
        pytest.param({"audiences": ["other", "gateway"]}, "gateway", id="the gateway among others"),
        pytest.param({"audiences": ["https://server"]}, None, id="the API server, as asked"),
        pytest.param({}, None, id="the API server, unsaid"),
    ],
)
def test_a_token_is_valid_for_the_audience_that_the_review_names(audiences: dict[str, Any], audience: str | None) -> None:
    user = authenticated({"authenticated": True, "user": ALICE, **audiences}, audience)
    assert user is not None
    assert user.name == "alice"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"authenticated": True, "audiences": ["other"]}, id="for somebody else"),
        pytest.param({"authenticated": True}, id="for the API server alone"),
        pytest.param({"authenticated": False, "audiences": ["gateway"]}, id="not authenticated"),
        pytest.param({"authenticated": "true", "audiences": ["gateway"]}, id="authenticated in words"),
        pytest.param({"error": "invalid bearer token"}, id="in error"),
    ],
)
def test_a_token_is_valid_for_nothing_else(status: dict[str, Any]) -> None:
    assert authenticated({**status, "user": ALICE}, "gateway") is None


def refused(status: int) -> Callable[[], web.Response]:
    """An answer that repeats the token, as a careless server might."""
    return lambda: web.json_response({"kind": "Status", "message": f"no: {TOKEN}"}, status=status)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refused(401), id="unauthorized"),
        pytest.param(refused(403), id="forbidden"),
        pytest.param(refused(404), id="not found"),
        pytest.param(refused(429), id="too many requests"),
        pytest.param(refused(500), id="failed"),
        pytest.param(lambda: web.json_response({"status": {"authenticated": True}}), id="not created"),
        pytest.param(lambda: web.json_response([], status=201), id="a list"),
        pytest.param(lambda: web.Response(text="<html>", status=201, content_type="text/html"), id="a page"),
        pytest.param(lambda: web.Response(text="{", status=201, content_type="application/json"), id="broken off"),
    ],
)
async def test_what_is_no_answer_says_nothing_of_a_token_and_shows_it_to_nobody(
    server: Server, reviews: ClusterReviews, answer: Callable[[], web.Response], caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = answer
    with pytest.raises(Unavailable) as unavailable:
        await reviews.user(TOKEN, audience="gateway")
    assert "TokenReview: the API server does not answer as it should" in caplog.text
    assert TOKEN not in caplog.text + str(unavailable.value)


async def test_the_log_says_what_the_api_server_refuses(
    server: Server, reviews: ClusterReviews, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = refused(403)
    with pytest.raises(Unavailable):
        await reviews.allowed(User("alice"), ACCESS)
    assert "SubjectAccessReview: the API server does not answer as it should (403 Forbidden)" in caplog.text


async def test_an_outage_is_logged_once(server: Server, reviews: ClusterReviews, caplog: pytest.LogCaptureFixture) -> None:
    for status in (503, 503, 201, 503):
        server.answer = refused(status)
        try:
            await reviews.user(TOKEN, audience="gateway")
        except Unavailable:
            continue
    assert len(caplog.records) == 2


async def test_a_server_that_is_gone_says_nothing_of_a_token() -> None:
    async with TestServer(web.Application()) as gone:
        host = str(gone.make_url(""))
    async with ApiClient(Configuration(host=host, client_session_kwargs={"trust_env": False})) as client:
        with pytest.raises(Unavailable, match="the cluster cannot check tokens now; send the same request again"):
            await ClusterReviews(client).user(TOKEN, audience="gateway")

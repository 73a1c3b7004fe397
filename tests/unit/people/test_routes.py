"""The HTTP API as people's programs see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from tests.integration.gateway.memory_desk import MemoryDesk

from tuning_operator.gateway import Gateway, LocalTokens
from tuning_operator.gateway.desk import Unavailable
from tuning_operator.gateway.people import LONGEST_WAIT, TOKEN_HEADER, VERSION_HEADER, PeopleApi, Progress, Which

STUDY = "/v1/studies/research/digits"
DIGITS = Which(namespace="research", name="digits")
NOT_FOUND = {"error": "there is no study digits in namespace research that you may get; check both with kubectl"}
ALICE = {TOKEN_HEADER: "alice"}
PATHS = [STUDY, f"{STUDY}/progress"]


@dataclass
class ScriptedLibrary:
    """Studies with versions that come one after another, the last of them for good."""

    documents: dict[Which, bytes] = field(default_factory=dict)
    versions: list[str] = field(default_factory=lambda: ["1"])
    asked: list[tuple[Which, str]] = field(default_factory=list)
    failure: Exception | None = None

    async def document(self, which: Which) -> bytes | None:
        if self.failure:
            raise self.failure
        return self.documents.get(which)

    async def progress(self, which: Which, after: str) -> Progress | None:
        self.asked.append((which, after))
        body = await self.document(which)
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        return None if body is None else Progress(version=version, body=f'"{version}"'.encode())


@dataclass
class ScriptedGatekeeper:
    """Who may read what."""

    permitted: set[tuple[str, str, str]] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    away: bool = False

    async def may_read(self, token: str, namespace: str, name: str) -> bool:
        if self.away:
            raise Unavailable("the cluster cannot check tokens now; send the same request again")
        self.asked.append(token)
        return (token, namespace, name) in self.permitted

    async def knows(self, token: str) -> bool:
        return token in self.known


@pytest.fixture
def library() -> ScriptedLibrary:
    return ScriptedLibrary(documents={DIGITS: b'"digits"'})


@pytest.fixture
def gatekeeper() -> ScriptedGatekeeper:
    """Alice may get one study, and another that does not exist; Bob may get nothing."""
    permitted = {("alice", "research", name) for name in ("digits", "wine")}
    return ScriptedGatekeeper(permitted=permitted, known={"alice", "bob"})


@pytest.fixture
async def http(library: ScriptedLibrary, gatekeeper: ScriptedGatekeeper) -> AsyncIterator[aiohttp.ClientSession]:
    api = PeopleApi(library, gatekeeper, version="1.2.3", look_seconds=0.0)
    gateway = Gateway(MemoryDesk(), LocalTokens(), routes=api.routes())
    await gateway.start()
    async with aiohttp.ClientSession(gateway.endpoint) as session:
        yield session
    await gateway.close()


async def answer(http: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    async with http.get(path, headers=headers) as response:
        return response.status, await response.json()


async def test_who_may_get_a_study_reads_it(http: aiohttp.ClientSession) -> None:
    async with http.get(STUDY, headers=ALICE) as response:
        assert (response.status, await response.json()) == (200, "digits")
        assert response.headers[VERSION_HEADER] == "1.2.3"
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "token"),
    [
        pytest.param({TOKEN_HEADER: "alice"}, "alice", id="through the API server's proxy"),
        pytest.param({"Authorization": "Bearer alice"}, "alice", id="directly"),
        pytest.param({TOKEN_HEADER: "alice", "Authorization": "Bearer bob"}, "alice", id="both: the one that is meant for us"),
        pytest.param({TOKEN_HEADER: "", "Authorization": "Bearer alice"}, "alice", id="an empty one beside another"),
    ],
)
async def test_a_token_comes_in_one_of_two_headers(
    *, http: aiohttp.ClientSession, gatekeeper: ScriptedGatekeeper, path: str, headers: dict[str, str], token: str
) -> None:
    assert (await answer(http, path, headers))[0] == 200
    assert gatekeeper.asked == [token]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {TOKEN_HEADER: ""}, {"Authorization": "Basic YWxpY2U6"}, {"Authorization": "Bearer "}])
async def test_without_a_token_the_remedy_is_told(http: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> None:
    sentence = "the token is missing; send Tuning-Token: <token>, or Authorization: Bearer <token>"
    assert await answer(http, path, headers) == (401, {"error": sentence})


@pytest.mark.parametrize("path", PATHS)
async def test_a_token_of_nobody_is_refused_as_such(http: aiohttp.ClientSession, path: str) -> None:
    refused = (401, {"error": "the token is not valid, or no longer; send a new one"})
    assert await answer(http, path, {TOKEN_HEADER: "guessed"}) == refused


@pytest.mark.parametrize("resource", ["", "/progress"])
async def test_a_study_that_one_may_not_get_is_like_one_that_does_not_exist(http: aiohttp.ClientSession, resource: str) -> None:
    forbidden = await answer(http, f"{STUDY}{resource}", {TOKEN_HEADER: "bob"})
    unknown = await answer(http, f"/v1/studies/research/wine{resource}", ALICE)
    assert forbidden == (404, NOT_FOUND)
    assert unknown == (404, {"error": NOT_FOUND["error"].replace("digits", "wine")})


async def test_that_there_is_no_study_is_told_by_a_gateway_that_serves_studies(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/studies/research/wine", headers=ALICE) as response:
        assert (response.status, VERSION_HEADER in response.headers) == (404, True)
    async with http.get("/v1/models/research/wine", headers=ALICE) as response:
        assert (response.status, VERSION_HEADER in response.headers) == (404, False)


async def test_an_earlier_study_is_asked_for_by_its_uid(http: aiohttp.ClientSession, library: ScriptedLibrary) -> None:
    library.documents[Which(namespace="research", name="digits", uid="6f1f")] = b'"earlier"'
    assert await answer(http, f"{STUDY}?uid=6f1f", ALICE) == (200, "earlier")


async def test_a_change_is_waited_for(http: aiohttp.ClientSession, library: ScriptedLibrary) -> None:
    library.versions = ["1", "1", "1", "2"]
    assert await answer(http, f"{STUDY}/progress?after=1&wait=30", ALICE) == (200, "2")
    assert library.asked == [(DIGITS, "1")] * 4


async def test_without_a_wait_the_answer_comes_at_once(http: aiohttp.ClientSession, library: ScriptedLibrary) -> None:
    library.versions = ["1", "2"]
    assert await answer(http, f"{STUDY}/progress?after=1", ALICE) == (200, "1")


async def test_what_has_changed_already_is_not_waited_for(http: aiohttp.ClientSession) -> None:
    assert await answer(http, f"{STUDY}/progress?after=0&wait=30", ALICE) == (200, "1")


@pytest.mark.parametrize("wait", ["31", "-1", "1.5", "1e1", "soon", "", "٣", "9" * 5_000])
async def test_a_wait_is_bounded(http: aiohttp.ClientSession, wait: str) -> None:
    status, body = await answer(http, f"{STUDY}/progress?wait={wait}", ALICE)
    assert status == 400
    assert body["error"].endswith(f"send whole seconds from 0 to {LONGEST_WAIT}")


@pytest.mark.parametrize("path", PATHS)
async def test_a_database_that_is_away_is_told(http: aiohttp.ClientSession, library: ScriptedLibrary, path: str) -> None:
    library.failure = Unavailable("the database does not answer")
    assert await answer(http, path, ALICE) == (503, {"error": "the database does not answer"})


@pytest.mark.parametrize("path", PATHS)
async def test_an_api_server_that_is_away_admits_nobody(
    http: aiohttp.ClientSession, gatekeeper: ScriptedGatekeeper, path: str
) -> None:
    gatekeeper.away = True
    sentence = "the cluster cannot check tokens now; send the same request again"
    assert await answer(http, path, ALICE) == (503, {"error": sentence})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
async def test_nothing_can_be_written(http: aiohttp.ClientSession, method: str) -> None:
    async with http.request(method, STUDY, headers=ALICE) as response:
        assert response.status == 405

"""The HTTP API as a trial without our client sees it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.gateway.memory_desk import MemoryDesk

from tuning_operator.api.contract import RESULT_LIMIT, Result
from tuning_operator.engine.facts import StopReason
from tuning_operator.gateway import (
    AttemptRef,
    Gateway,
    LocalTokens,
    Point,
    Superseded,
    Unavailable,
    UnknownAttempt,
)
from tuning_operator.gateway.server import REPORTS_LIMIT, Patience

JSON = {"Content-Type": "application/json"}
ROUTES = [("GET", "/v1/trial"), ("GET", "/v1/decision"), ("POST", "/v1/reports"), ("POST", "/v1/result")]
BODIES: dict[str, Any] = {"/v1/reports": {"points": [{"step": 0, "value": 0.5}]}, "/v1/result": {"val_accuracy": 0.5}}


async def answer(http: aiohttp.ClientSession, method: str, path: str, **request: Any) -> tuple[int, Any]:
    async with http.request(method, path, **request) as response:
        return response.status, await response.json()


async def call(http: aiohttp.ClientSession, method: str, path: str, **request: Any) -> tuple[int, Any]:
    """A request that is right in itself."""
    return await answer(http, method, path, json=BODIES.get(path), **request)


async def test_a_trial_learns_about_itself(http: aiohttp.ClientSession) -> None:
    assert await answer(http, "GET", "/v1/trial") == (
        200,
        {
            "study": "digits",
            "trial": 3,
            "attempt": 1,
            "role": "search",
            "seed": 11,
            "metric": "val_accuracy",
            "direction": "maximize",
            "parameters": {"learning_rate": 0.003, "batch_size": 64, "optimizer": "sgd"},
        },
    )


async def test_reports_reach_the_desk_in_order(http: aiohttp.ClientSession, desk: MemoryDesk, ref: AttemptRef) -> None:
    points = [{"step": 0, "value": 0.5}, {"step": 1, "value": "inf"}, {"step": 2, "value": 1}]
    assert await answer(http, "POST", "/v1/reports", json={"points": points}) == (200, {"stop": None})
    assert desk.points[ref] == [Point(0, 0.5), Point(1, math.inf), Point(2, 1.0)]


@pytest.mark.parametrize("reason", StopReason)
async def test_the_reason_to_stop_is_told(
    http: aiohttp.ClientSession, desk: MemoryDesk, ref: AttemptRef, reason: StopReason
) -> None:
    desk.stops[ref] = reason
    assert await call(http, "GET", "/v1/decision") == (200, {"stop": reason.value})
    assert await call(http, "POST", "/v1/reports") == (200, {"stop": reason.value})


async def test_the_same_reports_again_change_nothing(http: aiohttp.ClientSession, desk: MemoryDesk, ref: AttemptRef) -> None:
    assert await call(http, "POST", "/v1/reports") == await call(http, "POST", "/v1/reports")
    assert desk.points[ref] == [Point(0, 0.5)]


async def test_the_same_result_again_is_committed_as_before(
    http: aiohttp.ClientSession, desk: MemoryDesk, ref: AttemptRef
) -> None:
    for _ in range(2):
        assert await call(http, "POST", "/v1/result") == (200, {"committed": True})
    assert desk.results[ref] == Result(metrics={"val_accuracy": 0.5})


async def test_a_result_too_late_is_a_conflict(http: aiohttp.ClientSession) -> None:
    await call(http, "POST", "/v1/result")
    late = await answer(http, "POST", "/v1/result", json={"val_accuracy": 0.9})
    assert late == (409, {"error": "trial 3 has ended already; its result stays as it is"})


async def test_a_result_has_the_form_of_the_result_file(http: aiohttp.ClientSession, desk: MemoryDesk, ref: AttemptRef) -> None:
    body = '{"pruned": true, "val_accuracy": "nan", "message": "diverged"}'
    assert (await answer(http, "POST", "/v1/result", data=body, headers=JSON))[0] == 200
    result = desk.results[ref]
    assert (result.pruned, result.message, math.isnan(result.metrics["val_accuracy"])) == (True, "diverged", True)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("failure", "status", "sentence"),
    [
        pytest.param(UnknownAttempt(), 404, "no such trial runs; its study may be gone", id="an attempt nobody knows"),
        pytest.param(
            Superseded(), 410, "this attempt is over; leave, nothing that it says counts any more", id="a superseded attempt"
        ),
        pytest.param(Superseded("attempt 2 runs"), 410, "attempt 2 runs", id="a reason of the desk's own"),
        pytest.param(Unavailable(), 503, "not now; send the same request again", id="a database outage"),
        pytest.param(TimeoutError(), 503, "not now; send the same request again", id="a database that is too slow"),
        pytest.param(RuntimeError("secret"), 500, "the gateway failed; its log says why", id="a bug"),
    ],
)
async def test_the_desk_s_errors_are_answers(
    *, http: aiohttp.ClientSession, desk: MemoryDesk, method: str, path: str, failure: Exception, status: int, sentence: str
) -> None:
    desk.failure = failure
    assert await call(http, method, path) == (status, {"error": sentence})


async def test_an_attempt_without_a_card_is_unknown(http: aiohttp.ClientSession, desk: MemoryDesk) -> None:
    desk.cards.clear()
    assert (await call(http, "GET", "/v1/trial"))[0] == 404


@pytest.mark.parametrize("failure", [Unavailable("the database is away"), TimeoutError()])
async def test_not_now_says_when_to_come_again(http: aiohttp.ClientSession, desk: MemoryDesk, failure: Exception) -> None:
    desk.failure = failure
    async with http.get("/v1/decision") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("authorization", "sentence"),
    [
        ("", "the token is missing; send Authorization: Bearer <token>"),
        ("Basic dHJpYWw6", "the token is missing; send Authorization: Bearer <token>"),
        ("Bearer ", "the token is missing; send Authorization: Bearer <token>"),
        ("Bearer guessed", "the token is not valid; read it again from the file TUNING_TOKEN_FILE"),
        ("Bearer gue\udcffed", "the token is not valid; read it again from the file TUNING_TOKEN_FILE"),
    ],
    ids=["none", "another scheme", "an empty one", "a guessed one", "bytes"],
)
async def test_a_token_is_needed(
    *, http: aiohttp.ClientSession, desk: MemoryDesk, method: str, path: str, authorization: str, sentence: str
) -> None:
    status, body = await call(http, method, path, headers={"Authorization": authorization})
    assert (status, body) == (401, {"error": sentence})
    assert (desk.points, desk.results) == ({}, {})


async def test_a_token_speaks_for_its_own_attempt(
    *, gateway: Gateway, tokens: LocalTokens, desk: MemoryDesk, http: aiohttp.ClientSession, ref: AttemptRef
) -> None:
    other = AttemptRef(study="digits", trial=4, attempt=0)
    desk.cards[other] = desk.cards[ref]
    await call(http, "POST", "/v1/reports")
    headers = {"Authorization": f"Bearer {tokens.issue(other)}"}
    async with aiohttp.ClientSession(gateway.endpoint, headers=headers) as session:
        assert (await call(session, "GET", "/v1/trial"))[1]["trial"] == 4
    assert list(desk.points) == [ref]


async def test_a_revoked_token_is_not_valid(
    http: aiohttp.ClientSession, tokens: LocalTokens, desk: MemoryDesk, ref: AttemptRef
) -> None:
    tokens.revoke(ref)
    assert (await call(http, "POST", "/v1/reports"))[0] == 401
    assert desk.points == {}


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        pytest.param("/v1/reports", b"step=0", "the body is not JSON; send one JSON object in UTF-8", id="a form"),
        pytest.param("/v1/reports", b"\xff\xfe", "the body is not JSON; send one JSON object in UTF-8", id="bytes"),
        pytest.param("/v1/reports", b"[" * 60_000, "the body is not JSON; send one JSON object in UTF-8", id="a deep nest"),
        pytest.param("/v1/reports", b"3", "the body is 3; send one JSON object", id="a number"),
        pytest.param("/v1/reports", b"{}", 'points is missing; send a list such as [{"step": 3, "value": 0.93}]', id="none"),
        pytest.param(
            "/v1/reports", b'{"points": []}', 'points is []; send a list such as [{"step": 3, "value": 0.93}]', id="no points"
        ),
        pytest.param(
            "/v1/reports",
            b'{"points": [{"step": 0, "value": 1}, 7]}',
            'points[1] is 7; send an object such as {"step": 3, "value": 0.93}',
            id="a point that is a number",
        ),
        pytest.param(
            "/v1/reports",
            b'{"points": [{"step": -1, "value": 1}]}',
            "points[0].step is -1; a step is a whole number from 0 to 2147483647",
            id="a negative step",
        ),
        pytest.param(
            "/v1/reports",
            b'{"points": [{"step": 2147483648, "value": 1}]}',
            "points[0].step is 2147483648; a step is a whole number from 0 to 2147483647",
            id="a step beyond the database's integers",
        ),
        pytest.param(
            "/v1/reports",
            b'{"points": [{"value": 1}]}',
            "points[0].step is missing; a step is a whole number from 0 to 2147483647",
            id="a point without a step",
        ),
        pytest.param(
            "/v1/reports",
            b'{"points": [{"step": 1.5, "value": 1}]}',
            "points[0].step is 1.5; a step is a whole number from 0 to 2147483647",
            id="half a step",
        ),
        pytest.param(
            "/v1/reports",
            b'{"points": [{"step": 0, "value": "high"}]}',
            'points[0].value is "high"; send a number, or one of the strings "nan", "inf", "-inf"',
            id="a word as value",
        ),
        pytest.param(
            "/v1/reports",
            b'{"points": [{"step": 0, "value": true}]}',
            'points[0].value is true; send a number, or one of the strings "nan", "inf", "-inf"',
            id="a truth as value",
        ),
        pytest.param("/v1/result", b"\xff\xfe", "the body is not UTF-8; send one JSON object in UTF-8", id="result in bytes"),
    ],
)
async def test_a_body_that_is_wrong_is_answered_with_a_sentence(
    *, http: aiohttp.ClientSession, desk: MemoryDesk, path: str, body: bytes, sentence: str
) -> None:
    assert await answer(http, "POST", path, data=body, headers=JSON) == (400, {"error": sentence})
    assert (desk.points, desk.results) == ({}, {})


@pytest.mark.parametrize("body", [b"", b"[]", b'{"a": {}}', b'{"pruned": 1}', b"{", b"[" * 4000])
async def test_a_result_that_is_none_is_refused(http: aiohttp.ClientSession, desk: MemoryDesk, body: bytes) -> None:
    status, document = await answer(http, "POST", "/v1/result", data=body, headers=JSON)
    assert status == 400
    assert document["error"].startswith("the result")
    assert desk.results == {}


async def test_a_thousand_points_are_taken_and_one_more_is_not(
    http: aiohttp.ClientSession, desk: MemoryDesk, ref: AttemptRef
) -> None:
    points = [{"step": step, "value": 0.5} for step in range(1001)]
    status, document = await answer(http, "POST", "/v1/reports", json={"points": points})
    assert (status, document) == (400, {"error": "points has 1001 entries; send at most 1000 in one request"})
    assert (await answer(http, "POST", "/v1/reports", json={"points": points[1:]}))[0] == 200
    assert len(desk.points[ref]) == 1000


def address(gateway: Gateway) -> tuple[str, int]:
    host, _, port = gateway.endpoint.removeprefix("http://").partition(":")
    return host, int(port)


def post_reports(token: str) -> bytes:
    """The first headers of a request; more headers and a body are to follow."""
    start = "POST /v1/reports HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
    return f"{start}Authorization: Bearer {token}\r\n".encode()


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "in chunks"])
@pytest.mark.parametrize(("path", "limit"), [("/v1/reports", REPORTS_LIMIT), ("/v1/result", RESULT_LIMIT)])
async def test_a_body_above_the_limit_is_not_read(
    http: aiohttp.ClientSession, desk: MemoryDesk, path: str, limit: int, *, chunked: bool
) -> None:
    fits, too_long = (b"{" + b" " * (size - 2) + b"}" for size in (limit, limit + 1))
    body = in_pieces(too_long) if chunked else too_long
    status, document = await answer(http, "POST", path, data=body, headers=JSON)
    assert (status, document) == (413, {"error": f"the body is above {limit} bytes; send less at once"})
    assert (await answer(http, "POST", path, data=fits, headers=JSON))[0] != 413
    assert desk.points == {}


@pytest.mark.parametrize("path", ["/v1/reports", "/v1/result"])
async def test_only_json_is_taken(http: aiohttp.ClientSession, path: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, document = await answer(http, "POST", path, data=b"{}", headers=form)
    assert status == 415
    assert document == {"error": "the body is application/x-www-form-urlencoded; send Content-Type: application/json"}


async def test_a_body_that_is_not_compressed_as_it_says_is_the_client_s_fault(http: aiohttp.ClientSession) -> None:
    connection = JSON | {"Content-Encoding": "gzip", "Connection": "close"}
    status, document = await answer(http, "POST", "/v1/reports", data=b"no gzip", headers=connection)
    assert status == 400
    assert document == {"error": "the body broke off or is not encoded as its headers say; send it again"}


async def test_an_unknown_path_is_told_where_the_api_is_described(http: aiohttp.ClientSession) -> None:
    status, document = await answer(http, "GET", "/v2/trial")
    assert (status, document) == (404, {"error": "there is nothing at /v2/trial; see docs/contract.md for the API"})


@pytest.mark.parametrize(("wrong", "path", "right"), [("POST", "/v1/trial", "GET"), ("GET", "/v1/result", "POST")])
async def test_a_wrong_method_is_told_the_right_one(http: aiohttp.ClientSession, wrong: str, path: str, right: str) -> None:
    async with http.request(wrong, path) as response:
        assert (response.status, response.headers["Allow"]) == (405, right)
        assert await response.json() == {"error": f"{wrong} is not for {path}; use {right}"}


async def test_a_body_that_never_ends_is_not_waited_for(desk: MemoryDesk, tokens: LocalTokens, ref: AttemptRef) -> None:
    answered = asyncio.Event()

    async def never_ending() -> AsyncIterator[bytes]:
        yield b'{"points": ['
        await answered.wait()

    gateway = Gateway(desk, tokens, patience=Patience(body=0.01))
    await gateway.start()
    headers = JSON | {"Authorization": f"Bearer {tokens.issue(ref)}"}
    async with (
        aiohttp.ClientSession(gateway.endpoint, headers=headers) as session,
        session.post("/v1/reports", data=never_ending()) as response,
    ):
        assert response.status == 408
        answered.set()
    await gateway.close()


async def test_a_desk_that_hangs_is_not_waited_for(desk: MemoryDesk, tokens: LocalTokens, ref: AttemptRef) -> None:
    desk.hold = asyncio.Event()
    gateway = Gateway(desk, tokens, patience=Patience(desk=0.01))
    await gateway.start()
    headers = {"Authorization": f"Bearer {tokens.issue(ref)}"}
    async with aiohttp.ClientSession(gateway.endpoint, headers=headers) as session:
        assert (await call(session, "POST", "/v1/result"))[0] == 503
    await gateway.close()


async def test_a_client_that_hangs_up_leaves_no_trace(
    *, gateway: Gateway, tokens: LocalTokens, desk: MemoryDesk, ref: AttemptRef, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection(*address(gateway))
    writer.write(post_reports(tokens.issue(ref)) + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 100")
    writer.close()
    await writer.wait_closed()
    await gateway.close()
    assert (caplog.records, desk.points) == ([], {})


async def test_an_address_in_use_is_an_error_and_leaves_nothing_open(gateway: Gateway, desk: MemoryDesk) -> None:
    port = int(gateway.endpoint.rpartition(":")[2])
    second = Gateway(desk, LocalTokens(), port=port)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.close()


async def test_closing_twice_is_closing(gateway: Gateway) -> None:
    await gateway.close()
    await gateway.close()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), min_size=1, max_size=5))
def test_no_body_makes_the_gateway_fail(bodies: list[bytes]) -> None:
    async def send() -> list[tuple[int, Any]]:
        ref, tokens = AttemptRef(study="digits", trial=0, attempt=0), LocalTokens()
        gateway = Gateway(MemoryDesk(), tokens)
        await gateway.start()
        try:
            headers = JSON | {"Authorization": f"Bearer {tokens.issue(ref)}"}
            async with aiohttp.ClientSession(gateway.endpoint, headers=headers) as session:
                return [await answer(session, "POST", path, data=body) for body in bodies for path in BODIES]
        finally:
            await gateway.close()

    for status, document in asyncio.run(send()):
        assert status in {400, 404}
        assert isinstance(document["error"], str)

"""What people may read over HTTP: a study, and how it gets on.

The API server's service proxy leads here, and keeps a request's `Authorization` to itself. People's tokens therefore come
in a header of their own; `Authorization` counts for those who reach the gateway directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import hdrs, web

from tuning_operator.gateway.errors import refusal
from tuning_operator.gateway.wire import MalformedError

TOKEN_HEADER: Final = "Tuning-Token"  # noqa: S105 - the name of a header
"""Carries the token as it is, without `Bearer`."""

VERSION_HEADER: Final = "Tuning-Operator-Version"
"""In every answer of these routes, so that an unknown study differs from a gateway that has no such routes."""

LONGEST_WAIT: Final = 30
"""Seconds for which a request may wait for a change: no longer than a permission is remembered."""

_WAITS: Final = frozenset(map(str, range(LONGEST_WAIT + 1)))
_BEARER: Final = "Bearer "
_STUDY: Final = "/v1/studies/{namespace}/{name}"


@dataclass(frozen=True, kw_only=True)
class Which:
    """A study as people call it. Without a uid the newest of that name; the first characters of one are enough."""

    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What changed in a study: a `StudyDocument` of these trials, without their reports."""

    version: str
    body: bytes


class Library(Protocol):
    """The studies that can be read. Every method may raise Unavailable, and is cheap to call again and again."""

    async def document(self, which: Which) -> bytes | None:
        """The study with all its trials and their reports, as a `StudyDocument`; None when there is none."""

    async def progress(self, which: Which, after: str) -> Progress | None:
        """The study with the trials that changed after a version, all of them for any other word; None when there is none."""


class Gatekeeper(Protocol):
    """Who may read. Every method may raise Unavailable."""

    async def may_read(self, token: str, namespace: str, name: str) -> bool:
        """Whether the holder of the token may get this study."""

    async def knows(self, token: str) -> bool:
        """Whether the token is anybody's."""


class PeopleApi:
    """The routes, to be served by a `Gateway`."""

    def __init__(self, library: Library, gatekeeper: Gatekeeper, *, version: str, look_seconds: float = 1.0) -> None:
        """Serve a library.

        Args:
            library: what is read.
            gatekeeper: who may.
            version: of the operator.
            look_seconds: how often a waiting request looks for changes.
        """
        self._library = library
        self._gatekeeper = gatekeeper
        self._headers = {VERSION_HEADER: version, hdrs.CACHE_CONTROL: "no-store"}
        self._look_seconds = look_seconds

    def routes(self) -> Sequence[web.RouteDef]:
        """What a gateway serves."""
        return (
            web.get(_STUDY, self._admitted(self._document), allow_head=False),
            web.get(f"{_STUDY}/progress", self._admitted(self._progress), allow_head=False),
        )

    async def _document(self, which: Which, _request: web.Request) -> bytes | None:
        return await self._library.document(which)

    async def _progress(self, which: Which, request: web.Request) -> bytes | None:
        after, wait = request.query.get("after", ""), _seconds(request.query.get("wait", "0"))
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            progress = await self._library.progress(which, after)
            left = until - loop.time()
            if progress is None or progress.version != after or left <= 0:
                return None if progress is None else progress.body
            await asyncio.sleep(min(self._look_seconds, left))

    def _admitted(
        self, handler: Callable[[Which, web.Request], Awaitable[bytes | None]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler for those who may read the study. To others it is the same whether there is one."""

        async def handle(request: web.Request) -> web.StreamResponse:
            token = _token(request)
            place = request.match_info
            which = Which(namespace=place["namespace"], name=place["name"], uid=request.query.get("uid", ""))
            if await self._gatekeeper.may_read(token, which.namespace, which.name):
                body = await handler(which, request)
                if body is not None:
                    return web.Response(body=body, content_type="application/json", headers=self._headers)
            elif not await self._gatekeeper.knows(token):
                raise web.HTTPUnauthorized(text="the token is not valid, or no longer; send a new one")
            sentence = f"there is no study {which.name} in namespace {which.namespace} that you may get; check both with kubectl"
            return refusal(HTTPStatus.NOT_FOUND, sentence, self._headers)

        return handle


def _token(request: web.Request) -> str:
    token = request.headers.get(TOKEN_HEADER, "")
    authorization = request.headers.get(hdrs.AUTHORIZATION, "")
    if not token and authorization.startswith(_BEARER):
        token = authorization.removeprefix(_BEARER)
    if not token:
        raise web.HTTPUnauthorized(text=f"the token is missing; send {TOKEN_HEADER}: <token>, or Authorization: Bearer <token>")
    return token


def _seconds(text: str) -> int:
    if text not in _WAITS:
        raise MalformedError(f"wait is {text[:20]!r}; send whole seconds from 0 to {LONGEST_WAIT}")
    return int(text)

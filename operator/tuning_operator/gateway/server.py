"""The HTTP server: routes, who asks, and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from tuning_operator.api.contract import RESULT_LIMIT
from tuning_operator.engine.facts import StopReason
from tuning_operator.gateway import wire
from tuning_operator.gateway.desk import AttemptRef, Authenticator, Desk, UnknownAttempt
from tuning_operator.gateway.errors import errors_as_sentences, refusal
from tuning_operator.gateway.timing import timed

REPORTS_LIMIT: Final = 64 * 1024
"""Bytes of one body of reports."""

_BEARER: Final = "Bearer "
_SHUTDOWN: Final = 2.0

Handler = Callable[[AttemptRef, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long the gateway waits at most; seconds."""

    body: float = 10.0
    desk: float = 20.0


class Gateway:
    """Serves one desk on an address of its own, on the event loop on which it is started."""

    def __init__(
        self,
        desk: Desk,
        authenticator: Authenticator,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        patience: Patience | None = None,
        routes: Iterable[web.RouteDef] = (),
    ) -> None:
        """Serve a desk; further routes answer on the same port, and look after who may ask themselves."""
        self._desk = desk
        self._authenticator = authenticator
        self._host = host
        self._port = port
        self._patience = patience or Patience()
        self._routes = tuple(routes)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Port 0 takes a free one.

        Raises:
            OSError: the address cannot be listened on.
        """
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    async def close(self) -> None:
        """Stop listening; requests under way get two seconds."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def endpoint(self) -> str:
        """Its address, such as ``http://127.0.0.1:40123``: TUNING_ENDPOINT of local trials. Known while it is started."""
        assert self._runner is not None, "the gateway is started first"
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[timed, errors_as_sentences])
        application.add_routes(
            [
                web.get("/v1/trial", self._identified(self._trial), allow_head=False),
                web.get("/v1/decision", self._identified(self._decision), allow_head=False),
                web.post("/v1/reports", self._identified(self._reports)),
                web.post("/v1/result", self._identified(self._result)),
                *self._routes,
            ]
        )
        return application

    async def _trial(self, ref: AttemptRef, _request: web.Request) -> web.Response:
        card = self._desk.describe(ref)
        if card is None:
            raise UnknownAttempt
        return web.json_response(wire.encode_trial(ref, card))

    async def _decision(self, ref: AttemptRef, _request: web.Request) -> web.Response:
        return _decided(self._desk.stop_reason(ref))

    async def _reports(self, ref: AttemptRef, request: web.Request) -> web.Response:
        points = wire.decode_points(await self._body(request, REPORTS_LIMIT))
        async with asyncio.timeout(self._patience.desk):
            return _decided(await self._desk.report(ref, points))

    async def _result(self, ref: AttemptRef, request: web.Request) -> web.Response:
        result = wire.decode_result(await self._body(request, RESULT_LIMIT))
        async with asyncio.timeout(self._patience.desk):
            committed = await self._desk.result(ref, result)
        if not committed:
            return refusal(HTTPStatus.CONFLICT, f"trial {ref.trial} has ended already; its result stays as it is")
        return web.json_response({"committed": True})

    def _identified(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(await self._holder(request), request)

        return handle

    async def _holder(self, request: web.Request) -> AttemptRef:
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        if not authorization.startswith(_BEARER):
            raise web.HTTPUnauthorized(text="the token is missing; send Authorization: Bearer <token>")
        async with asyncio.timeout(self._patience.desk):
            ref = await self._authenticator.identify(authorization.removeprefix(_BEARER))
        if ref is None:
            raise web.HTTPUnauthorized(text="the token is not valid; read it again from the file TUNING_TOKEN_FILE")
        return ref

    async def _body(self, request: web.Request, limit: int) -> bytes:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text=f"the body is {request.content_type}; send Content-Type: application/json")
        body = bytearray()
        try:
            async with asyncio.timeout(self._patience.body):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        raise web.HTTPRequestEntityTooLarge(limit, text=f"the body is above {limit} bytes; send less at once")
        except TimeoutError:
            raise web.HTTPRequestTimeout(
                text=f"the body did not arrive within {self._patience.body:g} s; send it again"
            ) from None
        except (ConnectionError, web.RequestPayloadError):
            raise web.HTTPBadRequest(text="the body broke off or is not encoded as its headers say; send it again") from None
        return bytes(body)


def _decided(reason: StopReason | None) -> web.Response:
    return web.json_response({"stop": None if reason is None else reason.value})

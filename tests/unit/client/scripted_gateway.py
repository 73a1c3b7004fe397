"""A gateway that answers whatever a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

PATIENCE: Final = 20.0
"""Seconds after which a test that waits for something has failed."""


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    path: str
    token: str
    body: Any

    @property
    def points(self) -> list[tuple[int, float | str]]:
        return [(point["step"], point["value"]) for point in self.body["points"]] if self.path == "/v1/reports" else []


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b'{"stop": null}'
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None  # written instead of an HTTP response


class ScriptedGateway:
    """Use as a context manager. `requests` grows, `changed` says so; `answer` may be replaced at any time."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.changed = threading.Condition()
        self.answer: Callable[[Request], Reply] = lambda _: Reply()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def points(self) -> list[tuple[int, float | str]]:
        """All points of all requests, in order."""
        return [point for request in self.requests for point in request.points]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), f"in vain; seen so far: {self.requests}"

    def receive(self, request: Request) -> Reply:
        """Remember the request and answer it."""
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        return self.answer(request)


def _handler(gateway: ScriptedGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(None)

        def do_POST(self) -> None:
            self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _respond(self, body: Any) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            reply = gateway.receive(Request(method=self.command, path=self.path, token=token, body=body))
            if reply.raw is not None:
                self.wfile.write(reply.raw)
                return
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler

"""One request to the gateway at a time. Neither proxies nor redirects: the endpoint is inside the cluster, or this machine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tuning_client._errors import ConfigurationError

_ANSWER_LIMIT: Final = 64 * 1024
_LONGEST_RETRY_AFTER: Final = 60.0


class UnreachableError(Exception):
    """There was no answer that makes sense."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the gateway said."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None  # seconds


class GatewayConnection:
    """Where the gateway is, and the token to show it."""

    def __init__(self, endpoint: str, token_file: Path) -> None:
        try:
            parts = urlsplit(endpoint)
            self._host, self._port = parts.hostname, parts.port
        except ValueError:
            parts, self._host = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or self._host is None:
            raise ConfigurationError(f"TUNING_ENDPOINT is {endpoint!r}; it must be an address such as http://gateway:8080")
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._prefix = parts.path.rstrip("/")
        self._token_file = token_file
        self.endpoint = endpoint

    def get(self, path: str, *, timeout: float) -> Answer:
        """Ask. Seconds of `timeout` count for each wait on the network; raises UnreachableError."""
        return self._send("GET", path, None, timeout)

    def post(self, path: str, body: bytes, *, timeout: float) -> Answer:
        """Tell. Seconds of `timeout` count for each wait on the network; raises UnreachableError."""
        return self._send("POST", path, body, timeout)

    def _send(self, method: str, path: str, body: bytes | None, timeout: float) -> Answer:
        assert self._host is not None, "the constructor refuses an endpoint without a host"
        connection = self._connection(self._host, self._port, timeout=timeout)
        try:
            connection.request(method, self._prefix + path, body, self._headers())
            return _decode(connection.getresponse())
        # ValueError: a token file with bytes that no header may hold.
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        # Read for each request: Kubernetes replaces a projected token before it expires.
        token = self._token_file.read_text(encoding="ascii").strip()
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Connection": "close"}


def _decode(response: http.client.HTTPResponse) -> Answer:
    body = _object(response.read(_ANSWER_LIMIT))
    if body is None and response.status == http.HTTPStatus.OK:
        raise UnreachableError("something that is not the gateway answered: its answer is not a JSON object")
    return Answer(status=response.status, body=body or {}, retry_after=_seconds(response.headers.get("Retry-After", "")))


def _object(text: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _seconds(text: str) -> float | None:
    return min(float(text), _LONGEST_RETRY_AFTER) if text.isascii() and text.isdecimal() else None

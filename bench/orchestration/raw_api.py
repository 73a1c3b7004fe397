"""The Kubernetes API in as little code and time as Python needs: what is simulated must not be the bottleneck."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp

Document = dict[str, Any]

MERGE_PATCH: Final = "application/merge-patch+json"
_CONNECTIONS: Final = 32
_LONGEST_LINE: Final = 2**21


class RefusedError(Exception):
    """The API server refused a request."""


class RawApi:
    """Requests without retries; answers are read and, but for lists and watches, thrown away."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, method: str, path: str, body: Mapping[str, Any], *, content_type: str = "application/json") -> None:
        """A request that writes.

        Raises:
            RefusedError: it was refused.
        """
        headers = {"Content-Type": content_type}
        async with self._session.request(method, path, data=json.dumps(body), headers=headers) as answer:
            text = await answer.read()
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise RefusedError(f"{method} {path}: {answer.status} {text.decode()}")

    async def objects(self, path: str) -> AsyncIterator[Document]:
        """The objects of a collection, then each that is added to it, for ever."""
        async with self._session.get(path) as answer:
            listed = await answer.json()
        for item in listed["items"]:
            yield item
        version = listed["metadata"]["resourceVersion"]
        while True:
            # The server ends the watch of a reader that it finds too slow; the next goes on from there.
            async for event in self._events(f"{path}{'&' if '?' in path else '?'}watch=true&resourceVersion={version}"):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "ADDED":
                    yield event["object"]

    async def _events(self, path: str) -> AsyncIterator[Document]:
        async with self._session.get(path, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RefusedError(f"{path}: {event['object']}")
                yield event


@dataclass(frozen=True)
class Access:
    """Where the API server is, and how a user shows who that is."""

    url: str
    trusted: ssl.SSLContext


def read_access(kubeconfig: Path) -> Access:
    """That of a kubeconfig that `tests.cluster.kubeconfig` wrote with a certificate."""
    document = json.loads(kubeconfig.read_text(encoding="utf-8"))
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
    trusted.load_cert_chain(user["client-certificate"], user["client-key"])
    return Access(cluster["server"], trusted)


@asynccontextmanager
async def raw_api(access: Access) -> AsyncIterator[RawApi]:
    """A client that is closed at the end."""
    connector = aiohttp.TCPConnector(ssl=access.trusted, limit=_CONNECTIONS)
    async with aiohttp.ClientSession(access.url, connector=connector, read_bufsize=_LONGEST_LINE) as session:
        yield RawApi(session)

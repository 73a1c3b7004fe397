"""The few requests that trials need of the Kubernetes API, as raw documents: templates of users pass through unread.

The typed calls of the client refuse what users may write, such as ``nvidia.com/gpu: 1`` or a field newer than they are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client import ApiClient

from tuning_operator.runtime.kubernetes.cache import Kind
from tuning_operator.runtime.protocol import RuntimeUnavailableError
from tuning_operator.telemetry.metrics import KUBERNETES

Document = dict[str, Any]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_PAGE: Final = 500  # as many as kubectl asks for
_COLLECTIONS: Final = {Kind.JOB: ("/apis/batch/v1", "jobs"), Kind.POD: ("/api/v1", "pods")}
_EVENTS: Final = ("/api/v1", "events")
_MERGE_PATCH: Final = "application/merge-patch+json"

_OK: Final = range(200, 300)
_REFUSED: Final = range(400, 500)
# Of the request and the study these say nothing: the token was renewed, the server is slow, busy.
_PASSING: Final = frozenset((401, 408, 429))


class ApiUnavailableError(RuntimeUnavailableError):
    """The API server does not answer, or says that it cannot now."""

    def __init__(self, message: str, *, code: int | None = None, retry_after: float | None = None) -> None:
        """Say why.

        Args:
            message: of the server, or of the connection.
            code: HTTP status; None when there was no answer.
            retry_after: seconds for which the server asks to be left alone.
        """
        super().__init__(f"the Kubernetes API is not available: {message}")
        self.message = message
        self.code = code
        self.retry_after = retry_after


class RequestRefusedError(Exception):
    """The API server refused a request, and will refuse it again."""

    def __init__(self, message: str, *, code: int, reason: str) -> None:
        """Say why.

        Args:
            message: of the server.
            code: HTTP status.
            reason: of the server, such as AlreadyExists; empty when it gave none.
        """
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason


class NotFoundError(RequestRefusedError):
    """There is no such object."""


class ConflictError(RequestRefusedError):
    """The object has another uid or version than was asked for, or the name is taken; `reason` tells."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All objects of a kind, of all pages."""

    items: Sequence[Document]
    version: int


class KubernetesApi:
    """Requests. Each of its methods raises ApiUnavailableError, or RequestRefusedError of the kind that applies."""

    def __init__(self, client: ApiClient) -> None:
        """Use a client that knows address and credentials; it stays the caller's to close."""
        self._client = client

    async def create_job(self, job: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """Create a Job, or only go through every check. Returns it as the server keeps it.

        Fields that the server does not know are refused only by the dry run: a typing error is said before the first trial,
        and none of a study that runs already is held up by what a server dropped so far.
        """
        query = [("dryRun", "All"), ("fieldValidation", "Strict")] if dry_run else []
        return await self.request("POST", _path(Kind.JOB, job["metadata"]["namespace"]), query=query, body=job)

    async def read_job(self, namespace: str, name: str) -> Document:
        """A Job as it is now."""
        return await self.request("GET", _path(Kind.JOB, namespace, name))

    async def patch_job(self, namespace: str, name: str, patch: Mapping[str, Any]) -> Document:
        """A Job after a merge patch (RFC 7386); another Job of that name refuses a patch that has metadata.uid."""
        return await self.request("PATCH", _path(Kind.JOB, namespace, name), body=patch, content_type=_MERGE_PATCH)

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, grace: int | None = None, propagation: str | None = None
    ) -> Document:
        """Delete the object of that uid.

        Args:
            kind: Job or Pod.
            namespace: of the object.
            name: of the object.
            uid: another object of that name is left alone (ConflictError).
            grace: seconds that a Pod has to end; None for its own, 0 to forget it though its kubelet may not know.
            propagation: what becomes of the Pods of a Job: Foreground deletes them first, Background afterwards.

        Returns:
            The object while it is being deleted; a Status when it is gone.
        """
        options = {"preconditions": {"uid": uid}, "gracePeriodSeconds": grace, "propagationPolicy": propagation}
        body = {key: value for key, value in options.items() if value is not None}
        return await self.request("DELETE", _path(kind, namespace, name), body=body)

    async def list_all(self, kind: Kind, namespace: str | None, *, labels: str) -> Listing:
        """Every object of a kind in a namespace, or in all of them, that a label selector finds."""
        return await self.list_pages(_path(kind, namespace), [("labelSelector", labels)])

    async def list_warnings(self, namespace: str | None) -> Sequence[Document]:
        """Events of type Warning in a namespace, or in all of them. They carry no labels: they are about anything."""
        return (await self.list_pages(_events_path(namespace), [("fieldSelector", "type=Warning")])).items

    async def list_pages(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Listing:
        """Every object of a collection, page by page."""
        items: list[Document] = []
        following = ""
        while True:
            # All pages are as of the version of the first.
            more = [("continue", following)] if following else []
            try:
                page = await self.request("GET", path, query=[*query, ("limit", str(_PAGE)), *more])
            except RequestRefusedError as error:
                if error.reason != "Expired":
                    raise
                raise ApiUnavailableError(f"a list took too long: {error.message}", code=error.code) from error
            items += page.get("items") or ()
            following = page["metadata"].get("continue") or ""
            if not following:
                return Listing(items=items, version=int(page["metadata"]["resourceVersion"]))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Document:
        """A request to a path of the API. Returns the JSON object of the answer."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        began, code = time.perf_counter(), 0
        try:
            request = await self._client.param_serialize(
                method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = (await self._client.call_api(*request, _request_timeout=_TIMEOUT)).response
            code = answer.status
            text = await answer.text(errors="replace")
        except (aiohttp.ClientError, OSError) as error:
            raise ApiUnavailableError(str(error) or type(error).__name__) from error
        finally:
            KUBERNETES.labels(method, resource_of(path), code).observe(time.perf_counter() - began)
        document = _document(text)
        if answer.status in _OK and document is not None:
            return document
        raise _error(answer, document or {"message": f"{answer.status} {answer.reason}: {text[:200]}"})


def _error(answer: aiohttp.ClientResponse, status: Mapping[str, Any]) -> ApiUnavailableError | RequestRefusedError:
    """What an answer other than success means.

    https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#http-status-codes
    """
    code, message, reason = answer.status, status.get("message") or f"{answer.status}", status.get("reason") or ""
    if code not in _REFUSED or code in _PASSING:
        return ApiUnavailableError(message, code=code, retry_after=_seconds(answer.headers.get("Retry-After", "")))
    kinds: dict[int, type[RequestRefusedError]] = {404: NotFoundError, 409: ConflictError}
    return kinds.get(code, RequestRefusedError)(message, code=code, reason=reason)


def resource_of(path: str) -> str:
    """What a path is about, such as ``jobs`` or ``tuningstudies/status``, without any name that a user chose."""
    group, _, rest = path.partition("/namespaces/")
    if not rest:
        return group.rsplit("/", 1)[-1]
    _namespace, *below = rest.split("/")
    return "/".join([below[0], *below[2:]]) if below else "namespaces"


def _seconds(text: str) -> float | None:
    # A date is allowed too; Kubernetes sends seconds.
    return float(text) if text.isascii() and text.isdecimal() else None


def _document(text: str) -> Document | None:
    """The answer; None where it is not of Kubernetes, but of a proxy before it."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _path(kind: Kind, namespace: str | None, name: str | None = None) -> str:
    group, plural = _COLLECTIONS[kind]
    return collection(group, plural, namespace) + (f"/{quote(name, safe='')}" if name else "")


def _events_path(namespace: str | None) -> str:
    return collection(*_EVENTS, namespace)


def collection(group: str, plural: str, namespace: str | None) -> str:
    """The path of a collection, of one namespace or of all, such as ``/apis/batch/v1/namespaces/research/jobs``."""
    where = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{group}{where}/{plural}"

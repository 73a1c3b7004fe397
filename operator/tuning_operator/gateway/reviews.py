"""Questions to the API server: whose token is it, and what may its holder do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException, OpenApiException

from tuning_operator.gateway.desk import Unavailable

logger = logging.getLogger(__name__)

_VERSION: Final = "v1"
_AUTHENTICATION: Final = "authentication.k8s.io"
_AUTHORIZATION: Final = "authorization.k8s.io"


@dataclass(frozen=True)
class User:
    """Somebody, as the API server knows them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Access:
    """Something that a user may be allowed to do with one object."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


class Reviews(Protocol):
    """What the API server says. Every method may raise Unavailable."""

    async def user(self, token: str, *, audience: str | None) -> User | None:
        """Whose token it is; None unless it is valid for the audience. With None for that, the audience is the API server."""
        ...

    async def allowed(self, user: User, access: Access) -> bool:
        """Whether the user may."""
        ...


class ClusterReviews:
    """`Reviews` by TokenReview and SubjectAccessReview: the ClusterRole system:auth-delegator allows both."""

    def __init__(self, client: ApiClient, *, timeout: float = 5.0) -> None:
        """Takes seconds after which a request is given up."""
        self._api = CustomObjectsApi(client)
        self._timeout = timeout
        self._failing = False

    async def user(self, token: str, *, audience: str | None) -> User | None:
        """Whose token it is, by TokenReview."""
        spec = {"token": token, "audiences": [] if audience is None else [audience]}
        return authenticated(await self._review(_AUTHENTICATION, "TokenReview", spec), audience)

    async def allowed(self, user: User, access: Access) -> bool:
        """Whether the user may, by SubjectAccessReview."""
        spec = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra},
            "resourceAttributes": {
                "verb": access.verb,
                "group": access.group,
                "resource": access.resource,
                "namespace": access.namespace,
                "name": access.name,
            },
        }
        status = await self._review(_AUTHORIZATION, "SubjectAccessReview", spec)
        return status.get("allowed") is True

    async def _review(self, group: str, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """The status of a review: it is created to be answered at once, and kept nowhere."""
        body = {"apiVersion": f"{group}/{_VERSION}", "kind": kind, "spec": spec}
        try:
            answer = await self._api.create_cluster_custom_object(
                group, _VERSION, f"{kind.lower()}s", body, _request_timeout=self._timeout
            )
        except (OpenApiException, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._unavailable(kind, error) from error
        # The client gives None for an answer that it did not expect.
        if not isinstance(answer, dict):
            raise self._unavailable(kind, TypeError("the answer is no object"))
        self._failing = False
        status = answer.get("status")
        return status if isinstance(status, dict) else {}

    def _unavailable(self, kind: str, error: Exception) -> Unavailable:
        """Logged once for each outage, and without the bodies of request and answer, where the token may stand."""
        if not self._failing:
            # An ApiException's text holds the whole answer.
            reason = f"{error.status} {error.reason}" if isinstance(error, ApiException) else type(error).__name__
            logger.warning("%s: the API server does not answer as it should (%s); tokens cannot be checked", kind, reason)
        self._failing = True
        return Unavailable("the cluster cannot check tokens now; send the same request again")


def authenticated(status: Mapping[str, Any], audience: str | None) -> User | None:
    """The user in the status of a TokenReview that asked for this audience."""
    if status.get("authenticated") is not True:
        return None
    # An authenticator that knows nothing of audiences vouches for the API server's alone, and says so by naming none.
    if audience is not None and audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    extra = user.get("extra") or {}
    return User(
        name=user.get("username") or "",
        uid=user.get("uid") or "",
        groups=tuple(user.get("groups") or ()),
        extra=tuple(sorted((key, tuple(values)) for key, values in extra.items())),
    )

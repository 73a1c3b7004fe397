"""Who asks, in a cluster: a trial by the token that its Pod has, a person by their own. Only the API server can tell.

A yes is remembered for a minute at most, and the API server itself remembers one for ten seconds: so long may a token
outlive its Pod.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from tuning_operator.api.constants import GROUP
from tuning_operator.api.crd import PLURAL
from tuning_operator.gateway.bearer import PodRef, claims, digest, well_formed
from tuning_operator.gateway.desk import AttemptRef
from tuning_operator.gateway.reviews import Access, Reviews, User
from tuning_operator.gateway.verdicts import Clock, Limits, Verdicts

HolderOf = Callable[[str, str, str], AttemptRef | None]
"""The attempt that a Pod of this namespace, name and uid runs; None when it runs none. No I/O. May raise Unavailable."""

_SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
_POD_UID: Final = "authentication.kubernetes.io/pod-uid"


class ClusterTokens:
    """An `Authenticator` of tokens that the kubelet projects into the Pods of trials.

    Which attempt a Pod runs is looked up for each request and never remembered.
    """

    def __init__(
        self, reviews: Reviews, holder_of: HolderOf, clock: Clock, *, audience: str, limits: Limits | None = None
    ) -> None:
        self._reviews = reviews
        self._holder_of = holder_of
        self._audience = audience
        self._pods: Verdicts[PodRef] = Verdicts(clock, limits)

    async def identify(self, token: str) -> AttemptRef | None:
        """The attempt whose Pod holds the token; None when it is forged, expired, or for another audience or Pod.

        Raises:
            Unavailable: the API server cannot be asked, or too many ask at once.
        """
        if not well_formed(token):
            return None
        said = claims(token)
        # What a token says of itself proves nothing, but a Pod that nobody knows spares the API server the question.
        if said.pod is None or self._holder_of(*said.pod) is None:
            return None
        pod = await self._pods.get(digest(token), lambda: self._pod(token), expires=said.expires)
        return None if pod is None else self._holder_of(*pod)

    async def _pod(self, token: str) -> PodRef | None:
        user = await self._reviews.user(token, audience=self._audience)
        return None if user is None else bound_pod(user)


class Readers:
    """Which people may read a study: those who may get it with kubectl.

    They show a token for the API server or, better, one for the gateway alone, which is good for nothing else.
    """

    def __init__(self, reviews: Reviews, clock: Clock, *, audience: str | None, limits: Limits | None = None) -> None:
        """Takes the gateway's audience; with None only the API server's own counts."""
        self._reviews = reviews
        self._audience = audience
        self._users: Verdicts[User] = Verdicts(clock, limits)
        self._permissions: Verdicts[Literal[True]] = Verdicts(clock, limits)

    async def may_read(self, token: str, namespace: str, name: str) -> bool:
        """Whether the holder of the token may get this study.

        Raises:
            Unavailable: the API server cannot be asked, or too many ask at once.
        """
        # To the API server an empty name means all of them.
        user = await self._holder(token) if namespace and name else None
        if user is None:
            return False
        # By user, so that no permission outlives the groups for which it was given.
        key = digest(repr(user), namespace, name)
        expires = claims(token).expires
        return await self._permissions.get(key, lambda: self._permission(user, namespace, name), expires=expires) is True

    async def knows(self, token: str) -> bool:
        """Whether the token is that of a person or a program that may ask.

        Raises:
            Unavailable: the API server cannot be asked, or too many ask at once.
        """
        return await self._holder(token) is not None

    async def _holder(self, token: str) -> User | None:
        if not well_formed(token):
            return None
        return await self._users.get(digest(token), lambda: self._user(token), expires=claims(token).expires)

    async def _user(self, token: str) -> User | None:
        # What a token says of its audience proves nothing, but tells which of the two questions may be answered yes.
        if self._audience is None or self._audience not in claims(token).audiences:
            return await self._reviews.user(token, audience=None)
        user = await self._reviews.user(token, audience=self._audience)
        # In a Pod such a token is a trial's: it reads no study, whatever its service account may.
        return None if user is None or bound_pod(user) else user

    async def _permission(self, user: User, namespace: str, name: str) -> Literal[True] | None:
        access = Access(verb="get", group=GROUP, resource=PLURAL, namespace=namespace, name=name)
        return await self._reviews.allowed(user, access) or None


def bound_pod(user: User) -> PodRef | None:
    """The Pod to which the token of this user is bound."""
    extra = dict(user.extra)
    match user.name.removeprefix(_SERVICE_ACCOUNT).split(":"), extra.get(_POD_NAME), extra.get(_POD_UID):
        case [namespace, _account], (name,), (uid,) if user.name.startswith(_SERVICE_ACCOUNT):
            return PodRef(namespace, name, uid)
    return None

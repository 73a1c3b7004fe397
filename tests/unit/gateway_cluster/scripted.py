"""An API server that says what it is told to say, a clock that stands still, and tokens that anybody could forge."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any, Final

from tuning_operator.gateway.desk import Unavailable
from tuning_operator.gateway.reviews import Access, User

NOON: Final = 1_795_000_000.0
AUDIENCE: Final = "gateway.tuningstudy.dev"
NAMESPACE: Final = "team"
PATIENCE: Final = 30.0  # for what takes milliseconds, so that what never comes fails


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class ScriptedReviews:
    """`Reviews` from tables. While it is held, questions arrive and get no answer."""

    users: dict[tuple[str, str | None], User] = field(default_factory=dict)  # by token and audience
    permitted: set[tuple[User, str, str]] = field(default_factory=set)
    away: bool = False
    asked: list[str] = field(default_factory=list)  # tokens
    asked_access: list[Access] = field(default_factory=list)
    under_way: int = 0
    most_at_once: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def __post_init__(self) -> None:
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def arrivals(self, count: int) -> None:
        """Wait for so many questions that did not arrive before the last call."""
        async with asyncio.timeout(PATIENCE):
            for _ in range(count):
                await self._arrived.acquire()

    async def user(self, token: str, *, audience: str | None) -> User | None:
        self.asked.append(token)
        await self._answer()
        return self.users.get((token, audience))

    async def allowed(self, user: User, access: Access) -> bool:
        self.asked_access.append(access)
        await self._answer()
        return (user, access.namespace, access.name) in self.permitted

    async def _answer(self) -> None:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        self._arrived.release()
        try:
            await self._open.wait()
        finally:
            self.under_way -= 1
        if self.away:
            raise Unavailable("away")


def json_web_token(payload: object, *, signature: str = "c2lnbmVk") -> str:
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{body}.{signature}"


def pod_token(name: str, uid: str, *, expires: Any = NOON + 3600, signature: str = "c2lnbmVk") -> str:
    """As the kubelet projects it."""
    bound = {"namespace": NAMESPACE, "pod": {"name": name, "uid": uid}, "serviceaccount": {"name": "default", "uid": "sa"}}
    return json_web_token({"aud": [AUDIENCE], "exp": expires, "kubernetes.io": bound}, signature=signature)


def pod_user(name: str, uid: str) -> User:
    """As the API server knows the holder of such a token."""
    extra = (("authentication.kubernetes.io/pod-name", (name,)), ("authentication.kubernetes.io/pod-uid", (uid,)))
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")
    return User(f"system:serviceaccount:{NAMESPACE}:default", uid="sa", groups=groups, extra=extra)

"""Tokens of Pods and of people, judged by a real API server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import pytest
from kubernetes.aio.client import ApiClient
from tests.support.kubernetes import ApiServer
from tests.unit.api.manifests import good

from tuning_operator.gateway import AttemptRef
from tuning_operator.gateway.bearer import claims
from tuning_operator.gateway.cluster import ClusterTokens, Readers
from tuning_operator.gateway.reviews import ClusterReviews
from tuning_operator.gateway.verdicts import Limits
from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE

ACCOUNT: Final = "trainer"
ATTEMPT: Final = AttemptRef(study="digits", trial=3, attempt=1)
FORGOTTEN: Final = Limits().yes_seconds
# The API server remembers tokens for 10 s, and roles reach it by a watch.
PATIENCE: Final = 60.0


@dataclass
class Clock:
    """The time, and as much later as a test wants it."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Namespace:
    """One of its own, and what tests do there as an administrator."""

    server: ApiServer
    name: str
    pods: set[tuple[str, str, str]] = field(default_factory=set)  # that are trials of ours

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return self.server.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    def create_account(self, name: str) -> None:
        self.kubectl("create", "serviceaccount", name)

    def create_pod(self, name: str, *, ours: bool = True) -> str:
        """A Pod for which there is no node. Returns its uid."""
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "serviceAccountName": ACCOUNT,
                "automountServiceAccountToken": False,
                "containers": [{"name": "trainer", "image": "tuning-trainer"}],
            },
        }
        created = json.loads(self.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(document)))
        uid = str(created["metadata"]["uid"])
        if ours:
            self.pods.add((self.name, name, uid))
        return uid

    def token(self, account: str = ACCOUNT, *, pod: str | None = None, audience: str | None = TOKEN_AUDIENCE) -> str:
        """As the kubelet asks for it: bound to a Pod, for an audience. It outlives every leap of a test's clock."""
        bound = [] if pod is None else ["--bound-object-kind=Pod", f"--bound-object-name={pod}"]
        aimed = [] if audience is None else [f"--audience={audience}"]
        return self.kubectl("create", "token", account, "--duration=24h", *bound, *aimed).strip()

    def holder(self, namespace: str, pod_name: str, pod_uid: str) -> AttemptRef | None:
        return ATTEMPT if (namespace, pod_name, pod_uid) in self.pods else None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def team(api_server: ApiServer, namespace: str) -> Namespace:
    """A namespace with a service account for trials."""
    made = Namespace(api_server, namespace)
    made.create_account(ACCOUNT)
    return made


@pytest.fixture
async def reviews(api_server: ApiServer) -> AsyncIterator[ClusterReviews]:
    async with ApiClient(api_server.configuration()) as client:
        yield ClusterReviews(client)


@pytest.fixture
def tokens(reviews: ClusterReviews, team: Namespace, clock: Clock) -> ClusterTokens:
    return ClusterTokens(reviews, team.holder, clock, audience=TOKEN_AUDIENCE)


@pytest.fixture
def readers(reviews: ClusterReviews, clock: Clock) -> Readers:
    return Readers(reviews, clock, audience=None)


async def comes_true(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.1)


async def test_the_token_of_a_pod_names_its_attempt(tokens: ClusterTokens, team: Namespace) -> None:
    team.create_pod("one")
    assert await tokens.identify(team.token(pod="one")) == ATTEMPT


async def test_the_token_of_another_pod_of_the_account_names_nobody(tokens: ClusterTokens, team: Namespace) -> None:
    team.create_pod("stranger", ours=False)
    assert await tokens.identify(team.token(pod="stranger")) is None


async def test_a_token_for_another_audience_names_nobody(tokens: ClusterTokens, team: Namespace) -> None:
    team.create_pod("one")
    assert await tokens.identify(team.token(pod="one", audience="somewhere-else")) is None
    assert await tokens.identify(team.token(pod="one", audience=None)) is None


async def test_a_token_without_a_pod_names_nobody(tokens: ClusterTokens, team: Namespace) -> None:
    assert await tokens.identify(team.token()) is None


async def test_a_changed_token_names_nobody(tokens: ClusterTokens, team: Namespace) -> None:
    team.create_pod("one")
    team.create_pod("two")
    header, _, signature = team.token(pod="one").split(".")
    _, payload, _ = team.token(pod="two").split(".")
    assert await tokens.identify(f"{header}.{payload}.{signature}") is None


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "\udcff", "a" * 8_000])
async def test_garbage_names_nobody(tokens: ClusterTokens, token: str) -> None:
    assert await tokens.identify(token) is None


async def test_an_expired_token_names_nobody(tokens: ClusterTokens, team: Namespace, clock: Clock) -> None:
    team.create_pod("one")
    token = team.token(pod="one")
    assert await tokens.identify(token) == ATTEMPT
    clock.ahead = claims(token).expires - time.time()
    assert await tokens.identify(token) is None


async def test_the_token_of_a_deleted_pod_is_refused_once_it_is_forgotten(
    tokens: ClusterTokens, team: Namespace, clock: Clock
) -> None:
    team.create_pod("one")
    token = team.token(pod="one")
    assert await tokens.identify(token) == ATTEMPT
    team.kubectl("delete", "pod", "one", "--grace-period=0", "--force")

    async def refused() -> bool:
        clock.ahead += FORGOTTEN
        return await tokens.identify(token) is None

    await comes_true(refused)
    assert clock() < claims(token).expires


async def test_a_pod_of_the_same_name_does_not_inherit_a_token(tokens: ClusterTokens, team: Namespace) -> None:
    team.create_pod("one")
    token = team.token(pod="one")
    team.kubectl("delete", "pod", "one", "--grace-period=0", "--force")
    team.pods.clear()
    team.create_pod("one")
    assert await tokens.identify(token) is None
    assert await tokens.identify(team.token(pod="one")) == ATTEMPT


async def test_roles_say_who_reads_a_study(readers: Readers, team: Namespace, clock: Clock) -> None:
    team.server.create_study(team.name, good())
    team.create_account("alice")
    alice = team.token("alice", audience=None)
    assert not await readers.may_read(alice, team.name, "digits")
    team.kubectl("create", "role", "digits", "--verb=get", "--resource=tuningstudies.tuningstudy.dev", "--resource-name=digits")
    team.kubectl("create", "rolebinding", "alice", "--role=digits", f"--serviceaccount={team.name}:alice")

    async def allowed() -> bool:
        clock.ahead += Limits().no_seconds
        return await readers.may_read(alice, team.name, "digits")

    await comes_true(allowed)
    assert not await readers.may_read(alice, team.name, "wine")
    assert not await readers.may_read(alice, "default", "digits")
    team.kubectl("delete", "rolebinding", "alice")

    async def denied() -> bool:
        clock.ahead += FORGOTTEN
        return not await readers.may_read(alice, team.name, "digits")

    await comes_true(denied)


async def test_a_trials_token_reads_no_study_whatever_its_account_may(readers: Readers, team: Namespace, clock: Clock) -> None:
    team.create_pod("one")
    team.kubectl("create", "rolebinding", "trainer", "--clusterrole=cluster-admin", f"--serviceaccount={team.name}:{ACCOUNT}")
    of_account = team.token(audience=None)

    async def allowed() -> bool:
        clock.ahead += Limits().no_seconds
        return await readers.may_read(of_account, team.name, "digits")

    await comes_true(allowed)
    assert not await readers.may_read(team.token(pod="one"), team.name, "digits")

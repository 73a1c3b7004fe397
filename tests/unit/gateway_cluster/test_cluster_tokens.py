"""Trials known by their Pods' tokens."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tests.unit.gateway_cluster.scripted import AUDIENCE, NAMESPACE, Clock, ScriptedReviews, json_web_token, pod_token, pod_user

from tuning_operator.gateway.cluster import ClusterTokens
from tuning_operator.gateway.desk import AttemptRef, Unavailable
from tuning_operator.gateway.reviews import User
from tuning_operator.gateway.verdicts import Limits

ONE = AttemptRef(study="team/digits", trial=1, attempt=0)
TWO = AttemptRef(study="team/digits", trial=2, attempt=0)
TOKEN, OTHER_TOKEN = pod_token("one", "1-1"), pod_token("two", "2-2")


def forged(number: int) -> str:
    """Another Pod's claims under a signature that nobody made."""
    return pod_token("one", "1-1", signature=f"Zm9yZ2Vk{number}")


class Cluster:
    """Two Pods of ours with a token each."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = Clock()
        self.reviews = ScriptedReviews(
            users={(TOKEN, AUDIENCE): pod_user("one", "1-1"), (OTHER_TOKEN, AUDIENCE): pod_user("two", "2-2")}
        )
        self.holders = {(NAMESPACE, "one", "1-1"): ONE, (NAMESPACE, "two", "2-2"): TWO}
        self.tokens = ClusterTokens(self.reviews, self._holder, self.clock, audience=AUDIENCE, limits=limits)

    def _holder(self, namespace: str, pod_name: str, pod_uid: str) -> AttemptRef | None:
        return self.holders.get((namespace, pod_name, pod_uid))

    def vouch(self, token: str, user: User) -> None:
        self.reviews.users[token, AUDIENCE] = user


async def test_a_token_names_the_attempt_of_its_pod() -> None:
    cluster = Cluster()
    assert [await cluster.tokens.identify(token) for token in (TOKEN, OTHER_TOKEN)] == [ONE, TWO]


async def test_a_token_is_checked_once_in_a_while() -> None:
    cluster = Cluster()
    for _ in range(3):
        await cluster.tokens.identify(TOKEN)
        cluster.clock.now += 10
    assert cluster.reviews.asked == [TOKEN]


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("\udcff", id="no text"),
        pytest.param("opaque", id="opaque"),
        pytest.param("a.b.c", id="garbage in three parts"),
        pytest.param(json_web_token({"exp": 2**40, "aud": [AUDIENCE]}), id="without a Pod"),
        pytest.param(pod_token("stranger", "9-9"), id="of a Pod that is not ours"),
        pytest.param(pod_token("one", "0-0"), id="of an earlier Pod of the same name"),
        pytest.param(pod_token("one", "1-1", expires=0), id="expired"),
    ],
)
async def test_what_cannot_be_a_trials_token_costs_the_api_server_nothing(token: str) -> None:
    cluster = Cluster()
    assert await cluster.tokens.identify(token) is None
    assert cluster.reviews.asked == []


async def test_a_forged_token_names_nobody() -> None:
    assert await Cluster().tokens.identify(forged(0)) is None


async def test_a_forged_token_is_asked_about_again_after_five_seconds() -> None:
    cluster = Cluster()
    for _ in range(10):
        await cluster.tokens.identify(forged(0))
        cluster.clock.now += 1
    assert len(cluster.reviews.asked) == 2


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(User("system:serviceaccount:team:default"), id="an account without a Pod"),
        pytest.param(User("team:default", extra=pod_user("one", "1-1").extra), id="no account"),
        pytest.param(
            User("system:serviceaccount:elsewhere:default", extra=pod_user("one", "1-1").extra), id="of another namespace"
        ),
        pytest.param(pod_user("stranger", "9-9"), id="of a Pod that is not ours"),
        pytest.param(User("system:serviceaccount:team:default", extra=pod_user("one", "1-1").extra[:1]), id="without a uid"),
    ],
)
async def test_what_a_token_says_of_itself_proves_nothing(user: User) -> None:
    cluster = Cluster()
    cluster.vouch(TOKEN, user)
    assert await cluster.tokens.identify(TOKEN) is None


async def test_whose_token_it_is_only_the_api_server_says() -> None:
    cluster = Cluster()
    cluster.vouch(TOKEN, pod_user("two", "2-2"))
    assert await cluster.tokens.identify(TOKEN) == TWO


async def test_a_token_for_another_audience_names_nobody() -> None:
    cluster = Cluster()
    cluster.reviews.users = {(TOKEN, "somewhere-else"): pod_user("one", "1-1"), (TOKEN, None): pod_user("one", "1-1")}
    assert await cluster.tokens.identify(TOKEN) is None


async def test_the_token_of_a_deleted_pod_is_refused_after_a_minute() -> None:
    cluster = Cluster()
    await cluster.tokens.identify(TOKEN)
    cluster.reviews.users.clear()
    cluster.clock.now += 60
    assert await cluster.tokens.identify(TOKEN) is None


async def test_the_token_of_a_pod_that_is_known_to_be_gone_is_refused_at_once() -> None:
    cluster = Cluster()
    await cluster.tokens.identify(TOKEN)
    cluster.holders.clear()
    assert await cluster.tokens.identify(TOKEN) is None


async def test_an_expired_token_is_refused_though_it_is_remembered() -> None:
    cluster = Cluster()
    short = pod_token("one", "1-1", expires=cluster.clock.now + 30)
    cluster.vouch(short, pod_user("one", "1-1"))
    assert await cluster.tokens.identify(short) == ONE
    cluster.clock.now += 30
    assert await cluster.tokens.identify(short) is None


async def test_an_api_server_that_is_away_makes_no_token_invalid() -> None:
    cluster = Cluster()
    cluster.reviews.away = True
    with pytest.raises(Unavailable):
        await cluster.tokens.identify(TOKEN)
    cluster.reviews.away = False
    assert await cluster.tokens.identify(TOKEN) == ONE


async def test_requests_of_one_token_at_the_same_time_share_a_check() -> None:
    cluster = Cluster()
    assert await asyncio.gather(*(cluster.tokens.identify(TOKEN) for _ in range(50))) == [ONE] * 50
    assert cluster.reviews.asked == [TOKEN]


async def test_who_waits_for_a_check_is_told_of_its_failure() -> None:
    cluster = Cluster()
    cluster.reviews.away = True
    answers = await asyncio.gather(*(cluster.tokens.identify(TOKEN) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3


async def test_a_client_that_leaves_does_not_take_along_the_check_of_others() -> None:
    cluster = Cluster()
    cluster.reviews.hold()
    leaving, staying = (asyncio.create_task(cluster.tokens.identify(TOKEN)) for _ in range(2))
    await cluster.reviews.arrivals(1)
    leaving.cancel()
    cluster.reviews.release()
    assert await staying == ONE
    assert leaving.cancelled()
    assert cluster.reviews.asked == [TOKEN]


async def test_a_check_that_fails_when_everybody_has_left_disturbs_nobody() -> None:
    cluster = Cluster()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    cluster.reviews.hold()
    leaving = asyncio.create_task(cluster.tokens.identify(TOKEN))
    await cluster.reviews.arrivals(1)
    (check,) = (task for task in asyncio.all_tasks() if task.get_name() == "ask")
    leaving.cancel()
    cluster.reviews.away = True
    cluster.reviews.release()
    await asyncio.wait([leaving, check])
    del check
    gc.collect()
    assert complaints == []
    cluster.reviews.away = False
    assert await cluster.tokens.identify(TOKEN) == ONE


async def test_a_flood_of_forged_tokens_is_checked_a_few_at_a_time() -> None:
    cluster = Cluster(Limits(at_once=3))
    cluster.reviews.hold()
    flood = [asyncio.create_task(cluster.tokens.identify(forged(number))) for number in range(20)]
    await cluster.reviews.arrivals(3)
    cluster.reviews.release()
    assert await asyncio.gather(*flood) == [None] * 20
    assert cluster.reviews.most_at_once == 3


async def test_beyond_a_queue_of_forged_tokens_strangers_are_sent_away() -> None:
    cluster = Cluster(Limits(at_once=1, waiting=2))
    cluster.reviews.hold()
    flood = [asyncio.create_task(cluster.tokens.identify(forged(number))) for number in range(2)]
    await cluster.reviews.arrivals(1)
    with pytest.raises(Unavailable, match="too many requests wait for an answer; send the same request again"):
        await cluster.tokens.identify(TOKEN)
    cluster.reviews.release()
    await asyncio.gather(*flood)
    assert await cluster.tokens.identify(TOKEN) == ONE


async def test_a_known_trial_does_not_wait_behind_a_flood() -> None:
    cluster = Cluster(Limits(at_once=1, waiting=2))
    await cluster.tokens.identify(TOKEN)
    await cluster.reviews.arrivals(1)
    cluster.clock.now += 60
    cluster.reviews.hold()
    flood = [asyncio.create_task(cluster.tokens.identify(forged(number))) for number in range(2)]
    known = asyncio.create_task(cluster.tokens.identify(TOKEN))
    await cluster.reviews.arrivals(2)
    assert cluster.reviews.asked[-1] == TOKEN
    cluster.reviews.release()
    assert await known == ONE
    await asyncio.gather(*flood)


async def test_no_token_is_kept_in_clear() -> None:
    cluster = Cluster()
    await cluster.tokens.identify(TOKEN)
    await cluster.tokens.identify(forged(0))
    verdicts = cluster.tokens._pods
    kept = repr([vars(shelf) for shelf in (verdicts._yes, verdicts._no, verdicts._strangers)])
    assert "1-1" in kept
    assert TOKEN not in kept
    assert forged(0) not in kept

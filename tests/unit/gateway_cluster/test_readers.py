"""Who may read a study."""

from __future__ import annotations

import pytest
from tests.unit.gateway_cluster.scripted import AUDIENCE, NAMESPACE, Clock, ScriptedReviews, json_web_token, pod_token, pod_user

from tuning_operator.gateway.cluster import Readers
from tuning_operator.gateway.desk import Unavailable
from tuning_operator.gateway.reviews import Access, User

ALICE = User("alice", uid="a", groups=("vision",), extra=(("scopes", ("read",)),))
TOKEN = "opaque"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def reviews() -> ScriptedReviews:
    """Alice may read one study."""
    return ScriptedReviews(users={(TOKEN, None): ALICE}, permitted={(ALICE, NAMESPACE, "digits")})


@pytest.fixture
def readers(reviews: ScriptedReviews, clock: Clock) -> Readers:
    return Readers(reviews, clock, audience=None)


async def test_who_may_get_a_study_may_read_it(readers: Readers, reviews: ScriptedReviews) -> None:
    assert await readers.may_read(TOKEN, NAMESPACE, "digits")
    assert reviews.asked_access == [
        Access(verb="get", group="tuningstudy.dev", resource="tuningstudies", namespace=NAMESPACE, name="digits")
    ]


@pytest.mark.parametrize(("namespace", "name"), [(NAMESPACE, "wine"), ("elsewhere", "digits")])
async def test_other_studies_stay_closed(readers: Readers, namespace: str, name: str) -> None:
    assert not await readers.may_read(TOKEN, namespace, name)


async def test_an_unknown_token_opens_nothing(readers: Readers, reviews: ScriptedReviews) -> None:
    assert not await readers.may_read("guessed", NAMESPACE, "digits")
    assert reviews.asked_access == []


@pytest.mark.parametrize(
    "question",
    [
        pytest.param((TOKEN, "", "digits"), id="all namespaces"),
        pytest.param((TOKEN, NAMESPACE, ""), id="all studies"),
        pytest.param(("two words", NAMESPACE, "digits"), id="what cannot be a token"),
    ],
)
async def test_what_names_no_study_or_no_reader_is_not_even_asked(
    readers: Readers, reviews: ScriptedReviews, question: tuple[str, str, str]
) -> None:
    assert not await readers.may_read(*question)
    assert reviews.asked == []


async def test_one_question_serves_a_minute(readers: Readers, reviews: ScriptedReviews, clock: Clock) -> None:
    for _ in range(6):
        await readers.may_read(TOKEN, NAMESPACE, "digits")
        clock.now += 10
    assert (len(reviews.asked), len(reviews.asked_access)) == (1, 1)


async def test_a_permission_taken_away_ends_within_a_minute(readers: Readers, reviews: ScriptedReviews, clock: Clock) -> None:
    await readers.may_read(TOKEN, NAMESPACE, "digits")
    reviews.permitted.clear()
    clock.now += 60
    assert not await readers.may_read(TOKEN, NAMESPACE, "digits")


async def test_a_permission_given_opens_within_five_seconds(readers: Readers, reviews: ScriptedReviews, clock: Clock) -> None:
    await readers.may_read(TOKEN, NAMESPACE, "wine")
    reviews.permitted.add((ALICE, NAMESPACE, "wine"))
    clock.now += 5
    assert await readers.may_read(TOKEN, NAMESPACE, "wine")


async def test_no_permission_outlives_the_group_for_which_it_was_given(
    readers: Readers, reviews: ScriptedReviews, clock: Clock
) -> None:
    await readers.may_read(TOKEN, NAMESPACE, "wine")
    clock.now += 59
    await readers.may_read(TOKEN, NAMESPACE, "digits")  # remembered for longer than what is known of Alice
    reviews.users[TOKEN, None] = User("alice")
    clock.now += 1
    assert not await readers.may_read(TOKEN, NAMESPACE, "digits")


async def test_nobody_reads_with_an_expired_token(readers: Readers, reviews: ScriptedReviews, clock: Clock) -> None:
    token = json_web_token({"exp": clock.now + 10})
    reviews.users[token, None] = ALICE
    assert await readers.may_read(token, NAMESPACE, "digits")
    clock.now += 10
    assert not await readers.may_read(token, NAMESPACE, "digits")


FOR_US = json_web_token({"aud": ["gateway"]})


async def test_a_token_for_the_gateway_is_as_good_as_one_for_the_api_server(reviews: ScriptedReviews, clock: Clock) -> None:
    readers = Readers(reviews, clock, audience="gateway")
    reviews.users[FOR_US, "gateway"] = ALICE
    assert await readers.may_read(FOR_US, NAMESPACE, "digits")
    assert await readers.may_read(TOKEN, NAMESPACE, "digits")
    assert reviews.asked == [FOR_US, TOKEN]


async def test_a_token_that_only_says_to_be_for_the_gateway_opens_nothing(reviews: ScriptedReviews, clock: Clock) -> None:
    readers = Readers(reviews, clock, audience="gateway")
    reviews.users[FOR_US, None] = ALICE
    assert not await readers.may_read(FOR_US, NAMESPACE, "digits")


async def test_the_gateway_s_token_of_a_pod_is_a_trial_s_and_reads_no_study(reviews: ScriptedReviews, clock: Clock) -> None:
    readers = Readers(reviews, clock, audience=AUDIENCE)
    token, trial = pod_token("one", "1-1"), pod_user("one", "1-1")
    reviews.users[token, AUDIENCE] = trial
    reviews.permitted.add((trial, NAMESPACE, "digits"))
    assert not await readers.may_read(token, NAMESPACE, "digits")
    assert not await readers.knows(token)


@pytest.mark.parametrize(("token", "known"), [(TOKEN, True), ("guessed", False), ("two words", False), ("", False)])
async def test_a_token_is_known_whatever_it_may_read(readers: Readers, token: str, *, known: bool) -> None:
    assert await readers.knows(token) is known


async def test_an_api_server_that_is_away_denies_nobody(readers: Readers, reviews: ScriptedReviews) -> None:
    reviews.away = True
    with pytest.raises(Unavailable):
        await readers.may_read(TOKEN, NAMESPACE, "digits")

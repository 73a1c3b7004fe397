"""Answers are remembered for a short while, in a small room, and asked for at a modest rate."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway_cluster.scripted import NOON, Clock

from tuning_operator.gateway.verdicts import Limits, Verdicts

YES, NO = Limits().yes_seconds, Limits().no_seconds
KEY = b"key"


@dataclass
class Truth:
    """Valid until it is revoked. Writes down when it was asked."""

    clock: Clock
    revoked_at: float = math.inf
    takes: float = 0.0
    asked: list[float] = field(default_factory=list)

    async def __call__(self) -> str | None:
        self.asked.append(self.clock.now)
        answer = "yes" if self.clock.now < self.revoked_at else None
        self.clock.now += self.takes
        return answer


seconds = st.floats(min_value=0, max_value=200, allow_nan=False)


@given(
    lives=st.lists(st.tuples(seconds, seconds | st.just(math.inf)), min_size=1, max_size=3),
    visits=st.lists(st.tuples(st.integers(min_value=0, max_value=2), st.floats(min_value=0, max_value=70)), max_size=40),
    takes=st.floats(min_value=0, max_value=5),
)
def test_a_yes_is_never_older_than_a_minute_nor_beyond_the_end_of_its_token(
    lives: list[tuple[float, float]], visits: list[tuple[int, float]], takes: float
) -> None:
    async def visit_all() -> None:
        clock = Clock()
        verdicts: Verdicts[str] = Verdicts(clock)
        truths = [Truth(clock, NOON + revoked, takes) for revoked, _ in lives]
        for which, later in visits:
            clock.now += later
            number = which % len(lives)
            expires = NOON + lives[number][1]
            answer = await verdicts.get(bytes([number]), truths[number], expires=expires)
            if answer is None:
                assert clock.now >= min(expires, truths[number].revoked_at)
            else:
                assert clock.now < expires
                assert clock.now < truths[number].revoked_at + YES

    asyncio.run(visit_all())


@given(visits=st.lists(st.floats(min_value=0, max_value=70), max_size=40), revoked=seconds)
def test_the_same_question_is_asked_at_most_once_in_the_life_of_its_answer(visits: list[float], revoked: float) -> None:
    async def visit_all() -> None:
        clock = Clock()
        verdicts: Verdicts[str] = Verdicts(clock)
        truth = Truth(clock, NOON + revoked)
        for later in visits:
            clock.now += later
            await verdicts.get(KEY, truth)
        for before, after in zip(truth.asked, truth.asked[1:], strict=False):
            assert after >= before + (YES if before < truth.revoked_at else NO)

    asyncio.run(visit_all())


async def test_an_expired_token_is_not_even_asked_about() -> None:
    clock = Clock()
    truth = Truth(clock)
    assert await Verdicts[str](clock).get(KEY, truth, expires=clock.now) is None
    assert truth.asked == []


async def test_a_token_that_expires_while_it_is_checked_is_refused() -> None:
    clock = Clock()
    assert await Verdicts[str](clock).get(KEY, Truth(clock, takes=2), expires=clock.now + 1) is None


async def test_the_age_of_an_answer_counts_from_the_question() -> None:
    clock = Clock()
    verdicts: Verdicts[str] = Verdicts(clock)
    truth = Truth(clock, takes=4)
    await verdicts.get(KEY, truth)
    clock.now = NOON + YES
    await verdicts.get(KEY, truth)
    assert truth.asked == [NOON, NOON + YES]


async def test_a_clock_that_is_set_back_lengthens_no_life() -> None:
    clock = Clock()
    verdicts: Verdicts[str] = Verdicts(clock)
    truth = Truth(clock)
    await verdicts.get(KEY, truth)
    clock.now -= 1
    await verdicts.get(KEY, truth)
    assert len(truth.asked) == 2


@pytest.mark.parametrize("revoked_at", [pytest.param(math.inf, id="yes"), pytest.param(0.0, id="no")])
async def test_only_so_many_answers_are_remembered_the_newest(revoked_at: float) -> None:
    clock = Clock()
    verdicts: Verdicts[str] = Verdicts(clock, Limits(remembered=2))
    truths = {key: Truth(clock, revoked_at) for key in (b"1", b"2", b"3")}
    for key in (b"1", b"2", b"3", b"3", b"2", b"1"):
        await verdicts.get(key, truths[key])
    assert [len(truth.asked) for truth in truths.values()] == [2, 1, 1]


async def test_an_answer_that_is_given_again_is_a_new_one() -> None:
    clock = Clock()
    verdicts: Verdicts[str] = Verdicts(clock, Limits(remembered=2))
    truths = {key: Truth(clock) for key in (b"1", b"2", b"3")}
    for key in (b"1", b"2"):
        await verdicts.get(key, truths[key])
    clock.now += YES
    for key in (b"1", b"3", b"1"):
        await verdicts.get(key, truths[key])
    assert len(truths[b"1"].asked) == 2


async def test_a_flood_of_no_pushes_out_no_yes() -> None:
    clock = Clock()
    verdicts: Verdicts[str] = Verdicts(clock, Limits(remembered=10))
    truth = Truth(clock)
    await verdicts.get(KEY, truth)
    for number in range(100):
        await verdicts.get(b"forged %d" % number, Truth(clock, revoked_at=0))
    await verdicts.get(KEY, truth)
    assert len(truth.asked) == 1


async def test_a_failure_is_not_remembered() -> None:
    clock = Clock()
    verdicts: Verdicts[str] = Verdicts(clock)

    async def fail() -> str | None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await verdicts.get(KEY, fail)
    assert await verdicts.get(KEY, Truth(clock)) == "yes"

"""The queue: each key by one task at a time, nothing forgotten, failures tried again ever less often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from tests.support.virtual_time import run_in_virtual_time

from tuning_operator.controller.queue import KeyedQueue, TryAgainError

Work = Callable[[str], Awaitable[float | None]]


@asynccontextmanager
async def running(queue: KeyedQueue[str]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(queue.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Looks:
    """Work of scripted answers, the last of which stays; remembers when each look began."""

    answers: list[float | Exception | None] = field(default_factory=lambda: [None])
    lasts: float = 0.0
    began: list[tuple[float, str]] = field(default_factory=list)
    at_once: dict[str, int] = field(default_factory=dict)
    most_at_once: int = 0

    async def __call__(self, key: str) -> float | None:
        self.began.append((now(), key))
        self.at_once[key] = self.at_once.get(key, 0) + 1
        assert self.at_once[key] == 1, "a key is never worked on twice at once"
        self.most_at_once = max(self.most_at_once, sum(self.at_once.values()))
        try:
            await asyncio.sleep(self.lasts)
        finally:
            self.at_once[key] -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.began]

    @property
    def keys(self) -> list[str]:
        return [key for _, key in self.began]


def looked(looks: Looks, *, seconds: float, then: Callable[[KeyedQueue[str]], Awaitable[None]] | None = None) -> KeyedQueue[str]:
    """A queue with one key that ran for so long."""

    async def main() -> KeyedQueue[str]:
        queue: KeyedQueue[str] = KeyedQueue(looks)
        queue.add("a")
        async with running(queue):
            if then is not None:
                await then(queue)
            await asyncio.sleep(seconds - now())
        return queue

    return run_in_virtual_time(main())


# When a key is looked at


def test_a_key_that_was_added_before_it_runs_is_looked_at_once() -> None:
    looks = Looks()
    looked(looks, seconds=100)
    assert looks.began == [(0, "a")]


def test_a_key_is_looked_at_again_when_its_work_asked_for_it() -> None:
    looks = Looks([7.0, 0.0, 2.5, None])
    looked(looks, seconds=100)
    assert looks.times == [0, 7, 7, 9.5]


def test_a_moment_that_has_passed_is_now() -> None:
    looks = Looks([-3.0, None])
    looked(looks, seconds=100)
    assert looks.times == [0, 0]


def test_an_event_replaces_the_look_that_was_to_come() -> None:
    async def event(queue: KeyedQueue[str]) -> None:
        await asyncio.sleep(3)
        queue.add("a")

    looks = Looks([7.0, None])
    looked(looks, seconds=100, then=event)
    assert looks.times == [0, 3]


def test_a_key_added_many_times_while_it_waits_is_looked_at_once() -> None:
    async def main() -> list[float]:
        looks = Looks()
        queue: KeyedQueue[str] = KeyedQueue(looks)
        for _ in range(5):
            queue.add("a")
        assert queue.depth == 1
        async with running(queue):
            await asyncio.sleep(10)
        return looks.times

    assert run_in_virtual_time(main()) == [0]


def test_a_key_added_many_times_while_it_is_worked_on_is_looked_at_once_more() -> None:
    async def events(queue: KeyedQueue[str]) -> None:
        for _ in range(5):
            await asyncio.sleep(1)
            queue.add("a")

    looks = Looks(lasts=6)
    looked(looks, seconds=100, then=events)
    assert looks.times == [0, 6]


def test_an_event_while_it_fails_is_looked_at_at_once() -> None:
    async def event(queue: KeyedQueue[str]) -> None:
        await asyncio.sleep(1)
        queue.add("a")

    looks = Looks([TryAgainError("not now"), None], lasts=2)
    looked(looks, seconds=100, then=event)
    assert looks.times == [0, 2]


# Many keys


def test_so_many_keys_are_worked_on_at_once_and_the_others_in_their_order() -> None:
    async def main() -> tuple[Looks, list[int]]:
        looks = Looks(lasts=1)
        queue: KeyedQueue[str] = KeyedQueue(looks, at_once=3)
        for key in "abcdefgh":
            queue.add(key)
        depths = [queue.depth]
        async with running(queue):
            for _ in range(3):
                await asyncio.sleep(0.5)
                depths.append(queue.depth)
                await asyncio.sleep(0.5)
        return looks, depths

    looks, depths = run_in_virtual_time(main())
    assert looks.keys == list("abcdefgh")
    assert looks.most_at_once == 3
    assert depths == [8, 5, 2, 0]


def test_a_key_that_asks_for_more_at_once_lets_the_others_have_their_turn() -> None:
    async def main() -> list[str]:
        looks = Looks([0.0, None])
        queue: KeyedQueue[str] = KeyedQueue(looks, at_once=1)
        for key in "abc":
            queue.add(key)
        async with running(queue):
            await asyncio.sleep(10)
        return looks.keys

    assert run_in_virtual_time(main()) == ["a", "b", "c", "a"]


def test_a_key_that_fails_keeps_no_other_from_its_work() -> None:
    async def main() -> list[tuple[float, str]]:
        began: list[tuple[float, str]] = []

        async def work(key: str) -> float | None:
            began.append((now(), key))
            if key == "bad":
                raise TryAgainError("not now")
            return 2.0

        queue: KeyedQueue[str] = KeyedQueue(work, at_once=1)
        queue.add("bad")
        queue.add("good")
        async with running(queue):
            await asyncio.sleep(5)
        return began

    began = run_in_virtual_time(main())
    assert [at for at, key in began if key == "good"] == [0, 2, 4]
    assert [at for at, key in began if key == "bad"] == [0, 1, 3]


# Failures

SOONER_AND_LATER = [0, 1, 3, 7, 15, 31, 61, 91, 121]


@pytest.mark.parametrize(
    "error", [TryAgainError("the database is away"), RuntimeError("a fault")], ids=["expected", "unexpected"]
)
def test_what_fails_is_tried_again_ever_less_often(error: Exception) -> None:
    looks = Looks([error])
    looked(looks, seconds=130)
    assert looks.times == SOONER_AND_LATER


def test_after_a_success_failures_count_anew() -> None:
    looks = Looks([TryAgainError("x"), TryAgainError("x"), 10.0, TryAgainError("x"), None])
    looked(looks, seconds=100)
    assert looks.times == [0, 1, 3, 13, 14]


def test_what_lasts_is_said_once_and_again_after_it_was_gone(caplog: pytest.LogCaptureFixture) -> None:
    away, refused = TryAgainError("the database is away"), TryAgainError("the quota is used up")
    with caplog.at_level(logging.INFO):
        looked(Looks([away, away, refused, refused, 1.0, refused, None]), seconds=100)
    assert [record.getMessage() for record in caplog.records] == [
        "the database is away; trying again in 1 s",
        "the quota is used up; trying again in 4 s",
        "the quota is used up; trying again in 1 s",
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_fault_is_logged_with_its_key_and_where_it_happened(caplog: pytest.LogCaptureFixture) -> None:
    looked(Looks([RuntimeError("a fault"), None]), seconds=10)
    [record] = caplog.records
    assert record.getMessage() == "a: an unexpected error; trying again in 1 s"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a fault"


# The end


def test_what_is_under_way_when_it_is_stopped_ends_and_nothing_else_begins() -> None:
    async def main() -> tuple[Looks, float, float]:
        looks = Looks([0.0], lasts=4)
        queue: KeyedQueue[str] = KeyedQueue(looks, at_once=1)
        queue.add("a")
        queue.add("b")
        async with running(queue):
            await asyncio.sleep(1)
        stopped = now()
        queue.add("c")
        await asyncio.sleep(100)
        return looks, stopped, sum(looks.at_once.values())

    looks, stopped, left = run_in_virtual_time(main())
    assert (looks.keys, stopped, left) == (["a"], 4, 0)


def test_what_does_not_end_in_time_is_cancelled() -> None:
    async def main() -> tuple[float, bool]:
        looks = Looks(lasts=1000)
        queue: KeyedQueue[str] = KeyedQueue(looks)
        queue.add("a")
        async with running(queue) as task:
            await asyncio.sleep(1)
        assert looks.at_once == {"a": 0}
        return now(), task.cancelled()

    assert run_in_virtual_time(main()) == (11, True)


def test_a_key_that_was_to_be_looked_at_later_is_not_after_the_end() -> None:
    async def main() -> list[float]:
        looks = Looks([5.0, None])
        queue: KeyedQueue[str] = KeyedQueue(looks)
        queue.add("a")
        async with running(queue):
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        return looks.times

    assert run_in_virtual_time(main()) == [0]

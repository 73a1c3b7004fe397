"""Calls to a runtime are under way at once, and each round waits for its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tuning_operator.controller.calls import Calls
from tuning_operator.controller.round import bounded, runs
from tuning_operator.engine.actions import Action, AskTrial, ReleaseAttempt, StartAttempt
from tuning_operator.runtime.protocol import RuntimeUnavailableError


class Script:
    """Calls that tell when they begin and end, and end when they are let."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def call(self, name: str, error: BaseException | None = None) -> Callable[[], Awaitable[None]]:
        self.gates[name] = asyncio.Event()

        async def run() -> None:
            self.said.append(f"{name} begins")
            await self.gates[name].wait()
            if error is not None:
                raise error
            self.said.append(f"{name} ends")

        return run

    async def let(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()
            await settled()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_calls_of_different_trials_are_under_way_at_once() -> None:
    script = Script()
    async with Calls() as calls:
        calls.begin(0, script.call("a"))
        calls.begin(1, script.call("b"))
        await settled()
        assert script.said == ["a begins", "b begins"]
        await script.let("b", "a")
    assert script.said[2:] == ["b ends", "a ends"]


async def test_calls_of_one_trial_follow_one_another() -> None:
    script = Script()
    async with Calls() as calls:
        calls.begin(0, script.call("stop"))
        calls.begin(0, script.call("release"), tidies=True)
        await script.let("release", "stop")
    assert script.said == ["stop begins", "stop ends", "release begins", "release ends"]


async def test_no_more_are_under_way_than_may() -> None:
    script = Script()
    async with Calls(at_once=1) as calls:
        calls.begin(0, script.call("a"))
        calls.begin(1, script.call("b"))
        await settled()
        assert script.said == ["a begins"]
        await script.let("b", "a")
    assert script.said == ["a begins", "a ends", "b begins", "b ends"]


async def test_after_one_was_not_done_only_what_tidies_up_begins() -> None:
    script, away = Script(), RuntimeUnavailableError("not now")
    async with Calls(at_once=1) as calls:
        calls.begin(0, script.call("a", away))
        calls.begin(1, script.call("b"))
        calls.begin(2, script.call("release"), tidies=True)
        await settled()
        await script.let("a", "b", "release")
    assert (calls.failed, calls.untidy) == (away, None)
    assert script.said == ["a begins", "release begins", "release ends"]


async def test_after_something_was_not_tidied_up_all_else_goes_on() -> None:
    script, away = Script(), RuntimeUnavailableError("not now")
    async with Calls(at_once=1) as calls:
        calls.begin(0, script.call("release 0", away), tidies=True)
        calls.begin(1, script.call("release 1"), tidies=True)
        calls.begin(2, script.call("a"))
        await settled()
        await script.let("release 0", "release 1", "a")
    assert (calls.failed, calls.untidy) == (None, away)
    assert script.said == ["release 0 begins", "a begins", "a ends"]


async def test_leaving_waits_also_after_an_error() -> None:
    script = Script()

    async def fail() -> None:
        async with Calls() as calls:
            calls.begin(0, script.call("a"))
            await settled()
            raise ValueError("of the block")

    failing = asyncio.create_task(fail())
    await settled()
    assert not failing.done()
    await script.let("a")
    with pytest.raises(ValueError, match="of the block"):
        await failing
    assert script.said == ["a begins", "a ends"]


async def test_a_fault_is_not_hidden() -> None:
    script = Script()

    async def work() -> None:
        async with Calls() as calls:
            calls.begin(0, script.call("a", ZeroDivisionError()))
            await script.let("a")

    with pytest.raises(ZeroDivisionError):
        await work()


async def test_a_block_that_is_cancelled_cancels_its_calls() -> None:
    script = Script()

    async def work() -> None:
        async with Calls() as calls:
            calls.begin(0, script.call("a"))
            await asyncio.get_running_loop().create_future()

    working = asyncio.create_task(work())
    await settled()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert script.said == ["a begins"]


ASKS: list[Action] = [AskTrial(number=number) for number in range(3)]
START = StartAttempt(trial=0, attempt=0)
RELEASE = ReleaseAttempt(trial=0, attempt=0)


def test_a_round_claims_only_so_much_and_tidies_up_all_the_same() -> None:
    assert list(bounded([ASKS[0], START, *ASKS[1:], START, RELEASE], claims=2)) == [ASKS[0], START, ASKS[1], RELEASE]


def test_actions_of_a_kind_are_carried_out_together_in_their_order() -> None:
    assert list(runs([*ASKS, START, ASKS[0]], longest=2)) == [(ASKS[0], ASKS[1]), (ASKS[2],), (START,), (ASKS[0],)]

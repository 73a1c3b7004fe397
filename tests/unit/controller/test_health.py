"""Signs of life: a restart is asked for when it would help, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import AsyncMock

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.virtual_time import VirtualTimeLoop, run_in_virtual_time

from tuning_operator.controller.health import DEAF_SECONDS, LISTED_WITHIN_SECONDS, Health, Monitoring

NOON = 1_795_000_000.0


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Life:
    """A process to which things happen, one after the other."""

    clock: Clock = field(default_factory=Clock)
    health: Health = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(self.clock)

    def event(self) -> None:
        self.health.event()

    def wait(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    def list_(self, *, news: bool = False, takes: float = 1.0, event_after: float | None = None) -> None:
        began_at = self.clock()
        if event_after is not None:
            self.wait(event_after)
            self.event()
        self.clock.now = began_at + takes
        self.health.listed(began_at=began_at, news=news)


def nothing_heard_for_a_day(life: Life) -> None:
    life.wait(86_400)


def a_cluster_that_could_never_be_listed(life: Life) -> None:
    life.event()
    life.wait(86_400)


def a_quiet_cluster(life: Life) -> None:
    for _ in range(100):
        life.list_()
        life.wait(300)


def a_first_list_full_of_news_and_silence(life: Life) -> None:
    life.list_(news=True)
    life.wait(600)


def news_that_the_watch_brought_a_moment_later(life: Life) -> None:
    life.list_()
    life.list_(news=True)
    life.wait(0.1)
    life.event()
    life.wait(600)


def news_that_the_watch_brought_while_the_list_was_read(life: Life) -> None:
    life.list_()
    life.list_(news=True, takes=5.0, event_after=2.0)
    life.wait(600)


def news_a_minute_ago(life: Life) -> None:
    life.list_()
    life.list_(news=True)
    life.wait(60)


def two_lists_that_failed(life: Life) -> None:
    life.list_()
    life.wait(899)


def a_watch_that_was_deaf_and_hears_again(life: Life) -> None:
    news_that_no_watch_brings(life)
    life.event()


@pytest.mark.parametrize(
    "happen",
    [
        nothing_heard_for_a_day,
        a_cluster_that_could_never_be_listed,
        a_quiet_cluster,
        a_first_list_full_of_news_and_silence,
        news_that_the_watch_brought_a_moment_later,
        news_that_the_watch_brought_while_the_list_was_read,
        news_a_minute_ago,
        two_lists_that_failed,
        a_watch_that_was_deaf_and_hears_again,
    ],
)
def test_a_restart_would_not_help_after(happen: Callable[[Life], None]) -> None:
    life = Life()
    happen(life)
    assert life.health.illness() is None


def news_that_no_watch_brings(life: Life) -> None:
    life.list_()
    life.event()
    life.wait(1)
    life.list_(news=True, takes=0)
    life.wait(DEAF_SECONDS + 1)


def news_that_no_watch_has_ever_brought(life: Life) -> None:
    life.list_()
    life.list_(news=True, takes=0)
    life.wait(DEAF_SECONDS + 1)


def lists_that_fail_for_long(life: Life) -> None:
    life.list_()
    life.wait(LISTED_WITHIN_SECONDS + 1)
    life.event()


@pytest.mark.parametrize(
    ("happen", "words"),
    [
        (news_that_no_watch_brings, "the watch brings nothing: a list found changes 121 s ago"),
        (news_that_no_watch_has_ever_brought, "the watch brings nothing: a list found changes 121 s ago"),
        (lists_that_fail_for_long, "nothing could be listed for 901 s"),
    ],
)
def test_a_restart_would_help_after(happen: Callable[[Life], None], words: str) -> None:
    life = Life()
    happen(life)
    assert life.health.illness() == words


def test_a_busy_event_loop_is_measured() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        health = Health(Clock())
        task = asyncio.create_task(health.measure_loop())
        # Something that is not to be interrupted takes two seconds.
        loop.call_later(0.1, loop.block, 2.0)
        await asyncio.sleep(2.2)
        lag = health.loop_lag
        await asyncio.sleep(55)
        assert health.loop_lag == lag, "the worst of a minute is what a scrape must not miss"
        await asyncio.sleep(10)
        assert health.loop_lag == pytest.approx(0.0)
        task.cancel()
        return lag

    assert run_in_virtual_time(main()) == pytest.approx(1.6)


# Over HTTP


@dataclass
class Probed:
    """A monitoring port, and what stands behind it."""

    url: str
    session: aiohttp.ClientSession
    life: Life
    database: dict[str, str | None]

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def probed(*, database: str | None = None) -> AsyncIterator[Probed]:
    life, problem = Life(), {"problem": database}

    async def database_problem() -> str | None:
        return problem["problem"]

    monitoring = Monitoring(life.health, depth=lambda: 3, database=database_problem)
    await monitoring.start("127.0.0.1", 0)
    assert monitoring._runner is not None
    host, port = monitoring._runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            yield Probed(f"http://{host}:{port}", session, life, problem)
    finally:
        await monitoring.close()


async def test_it_is_alive_from_the_begin_and_ready_once_it_looks_after_studies() -> None:
    async with probed() as one:
        status, signs = await one.get("/healthz")
        assert (status, signs["alive"], signs["illness"]) == (200, True, None)
        assert await one.get("/readyz") == (503, {"ready": False, "problem": "the operator is starting"})
        one.life.health.ready = True
        assert await one.get("/readyz") == (200, {"ready": True, "problem": None})


async def test_a_database_that_is_away_makes_it_unready_and_not_ill() -> None:
    async with probed(database="the database is away") as one:
        one.life.health.ready = True
        assert await one.get("/readyz") == (503, {"ready": False, "problem": "the database is away"})
        status, signs = await one.get("/healthz")
        assert (status, signs["database"]) == (200, "the database is away")
        one.database["problem"] = None
        assert (await one.get("/readyz"))[0] == 200
        assert (await one.get("/healthz"))[1]["database"] == "ok"


async def test_what_a_restart_would_mend_is_said() -> None:
    async with probed() as one:
        news_that_no_watch_brings(one.life)
        status, signs = await one.get("/healthz")
        assert status == 503
        assert signs == {
            "alive": False,
            "illness": "the watch brings nothing: a list found changes 121 s ago",
            "seconds_since_watch_event": 122.0,
            "seconds_since_list": 121.0,
            "event_loop_lag_seconds": 0.0,
            "database": "ok",
        }


async def test_what_has_not_happened_yet_was_at_no_time() -> None:
    async with probed() as one:
        signs = (await one.get("/healthz"))[1]
        assert (signs["seconds_since_watch_event"], signs["seconds_since_list"]) == (None, None)


async def test_metrics_are_read_by_prometheus() -> None:
    async with probed() as one:
        one.life.event()
        one.life.wait(1)
        one.life.list_(takes=0)
        one.life.health.lags.append(0.25)
        async with one.session.get(f"{one.url}/metrics") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            families = text_string_to_metric_families(await answer.text())
            samples = {sample.name: sample.value for family in families for sample in family.samples}
            expected = {
                "tuning_operator_queue_depth": 3.0,
                "tuning_operator_event_loop_lag_seconds": 0.25,
                "tuning_operator_last_watch_event_timestamp_seconds": NOON,
                "tuning_operator_last_list_timestamp_seconds": NOON + 1,
            }
            assert samples | expected == samples


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with probed() as one:
        other = Monitoring(one.life.health, depth=lambda: 0, database=AsyncMock(return_value=None))
        with pytest.raises(OSError, match="address already in use"):
            await other.start("127.0.0.1", int(one.url.rpartition(":")[2]))
        await other.close()

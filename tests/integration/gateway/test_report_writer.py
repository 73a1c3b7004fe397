"""Reports gathered into batches and kept over an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.gateway.memory_desk import PATIENCE

from tuning_operator.gateway import AttemptRef, Point, Report, ReportWriter, Unavailable

AN_HOUR = 3600.0


class Database:
    """What `flush` writes to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.tries = 0
        self.failure: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.changed = asyncio.Condition()

    @property
    def steps(self) -> list[int]:
        return [step for batch in self.batches for step in batch]

    async def flush(self, reports: Sequence[Report]) -> None:
        async with self.changed:
            self.tries += 1
            self.changed.notify_all()
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        async with self.changed:
            self.batches.append([report.point.step for report in reports])
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(condition)


def reports(first: int, end: int) -> list[Report]:
    ref = AttemptRef(study="digits", trial=0, attempt=0)
    return [Report(ref, Point(step, 0.5)) for step in range(first, end)]


@pytest.fixture
async def database() -> Database:
    return Database()


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[ReportWriter]:
    """Writes full batches of ten, and what is asked for; it never gets impatient by itself."""
    writer = ReportWriter(database.flush, delay=AN_HOUR, size=10, capacity=25, longest_retry=AN_HOUR)
    writer.start()
    yield writer
    await writer.close()


async def test_a_full_batch_is_written_at_once(writer: ReportWriter, database: Database) -> None:
    writer.add(reports(0, 10))
    await database.until(lambda: database.batches == [list(range(10))])


async def test_a_batch_that_is_not_full_waits_for_more(writer: ReportWriter, database: Database) -> None:
    writer.add(reports(0, 4))
    writer.add(reports(4, 8))
    writer.add(reports(8, 15))
    await database.until(lambda: len(database.batches) == 1)
    assert database.batches == [list(range(10))]


async def test_a_batch_that_is_not_full_is_written_when_it_is_old_enough(database: Database) -> None:
    writer = ReportWriter(database.flush, delay=0.01, size=10)
    writer.start()
    writer.add(reports(0, 3))
    await database.until(lambda: database.steps == [0, 1, 2])
    await writer.close()


async def test_draining_waits_until_everything_before_is_written(writer: ReportWriter, database: Database) -> None:
    database.hold = asyncio.Event()
    writer.add(reports(0, 23))
    drained = asyncio.create_task(writer.drain())
    await database.until(lambda: database.tries == 1)
    assert not drained.done()
    database.hold.set()
    await drained
    assert database.batches == [list(range(10)), list(range(10, 20)), [20, 21, 22]]


async def test_draining_nothing_is_done_at_once(writer: ReportWriter, database: Database) -> None:
    await writer.drain()
    assert database.tries == 0


async def test_draining_in_an_outage_says_so_and_keeps_the_reports(writer: ReportWriter, database: Database) -> None:
    database.failure = Unavailable("the database is away")
    writer.add(reports(0, 3))
    for _ in range(2):
        with pytest.raises(Unavailable, match="the database is away"):
            await writer.drain()
    database.failure = None
    await writer.drain()
    assert database.steps == [0, 1, 2]


async def test_giving_up_a_drain_harms_nobody(writer: ReportWriter, database: Database) -> None:
    database.hold = asyncio.Event()
    writer.add(reports(0, 3))
    given_up, drained = (asyncio.create_task(writer.drain()) for _ in range(2))
    await database.until(lambda: database.tries == 1)
    given_up.cancel()
    database.hold.set()
    await drained
    assert given_up.cancelled()
    assert database.steps == [0, 1, 2]


async def test_an_outage_is_outlasted_without_anyone_asking(database: Database) -> None:
    writer = ReportWriter(database.flush, delay=0.0, longest_retry=0.01)
    writer.start()
    database.failure = Unavailable()
    writer.add(reports(0, 3))
    await database.until(lambda: database.tries > 3)
    writer.add(reports(3, 5))
    database.failure = None
    await database.until(lambda: database.steps == [0, 1, 2, 3, 4])
    await writer.close()


async def test_a_long_outage_costs_the_oldest_reports_and_says_how_many(
    writer: ReportWriter, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.failure = Unavailable()
    for first in range(0, 40, 5):
        writer.add(reports(first, first + 5))
    with pytest.raises(Unavailable):
        await writer.drain()
    database.failure = None
    await writer.drain()
    assert database.steps == list(range(15, 40))
    assert caplog.messages == ["15 reports are lost: the database was away too long to keep them"]


async def test_reports_pushed_out_while_they_are_written_do_not_take_others_with_them(
    writer: ReportWriter, database: Database
) -> None:
    database.hold = asyncio.Event()
    writer.add(reports(0, 10))
    await database.until(lambda: database.tries == 1)
    writer.add(reports(10, 40))
    database.hold.set()
    await writer.drain()
    assert database.steps == [*range(10), *range(15, 40)]


async def test_reports_that_can_never_be_written_do_not_block_the_others(
    writer: ReportWriter, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.failure = ValueError("poison")
    writer.add(reports(0, 3))
    await writer.drain()
    database.failure = None
    writer.add(reports(3, 5))
    await writer.drain()
    assert database.steps == [3, 4]
    assert "3 reports cannot be written and are lost" in caplog.messages


async def test_closing_writes_what_waits(database: Database) -> None:
    writer = ReportWriter(database.flush, delay=AN_HOUR, size=10)
    writer.start()
    writer.add(reports(0, 13))
    await writer.close()
    assert database.batches == [list(range(10)), [10, 11, 12]]


async def test_closing_in_an_outage_says_what_is_lost(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    writer = ReportWriter(database.flush, delay=AN_HOUR, size=10, longest_retry=AN_HOUR)
    writer.start()
    database.failure = Unavailable()
    writer.add(reports(0, 10))
    await database.until(lambda: database.tries == 1)
    await writer.close()
    assert caplog.messages == ["10 reports are lost: the database was away too long to keep them"]


async def test_a_writer_that_closes_promises_nothing_more(database: Database) -> None:
    writer = ReportWriter(database.flush, delay=AN_HOUR)
    writer.start()
    await writer.close()
    writer.add(reports(0, 1))
    with pytest.raises(Unavailable, match="closing"):
        await writer.drain()


@given(
    groups=st.lists(st.integers(1, 30), max_size=10),
    size=st.integers(1, 12),
    failures=st.lists(st.booleans(), max_size=20),
)
def test_whatever_happens_reports_arrive_once_and_in_order(groups: list[int], size: int, failures: list[bool]) -> None:
    async def scenario() -> list[int]:
        written: list[int] = []
        outages = iter(failures)

        async def flush(batch: Sequence[Report]) -> None:
            assert len(batch) <= size
            await asyncio.sleep(0)
            if next(outages, False):
                raise Unavailable
            written.extend(report.point.step for report in batch)

        writer = ReportWriter(flush, delay=0.0, size=size, longest_retry=0.0)
        writer.start()
        first = 0
        for count in groups:
            writer.add(reports(first, first + count))
            first += count
            await asyncio.sleep(0)
        while True:
            try:
                await writer.drain()
            except Unavailable:
                continue
            break
        await writer.close()
        return written

    assert asyncio.run(scenario()) == list(range(sum(groups)))

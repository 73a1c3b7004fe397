"""Batches come in the caller's order, from rows on the device or from processes that read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.support.tables import CPU, first_fold

from tuning_trainer.data import Source, sources
from tuning_trainer.data.sources import Batch, PreparedRows, Resident, Workers, open_source
from tuning_trainer.settings import Settings

INPUTS, TARGETS = torch.arange(20.0).reshape(10, 2), torch.arange(10)
ROWS = PreparedRows(INPUTS.__getitem__, TARGETS, (2,))
SOURCES: dict[str, Source] = {
    "resident": Resident(Batch(INPUTS, TARGETS)),
    "read by this process": Workers(ROWS, CPU, workers=0),
    "read by two processes": Workers(ROWS, CPU, workers=2),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_rows_come_in_the_order_that_is_asked_for(source: Source) -> None:
    order = torch.tensor([7, 0, 3, 3, 9])
    batches = list(source.batches(order, 2))
    assert [batch.targets.tolist() for batch in batches] == [[7, 0], [3, 3], [9]]
    for batch in batches:
        assert torch.equal(batch.inputs, INPUTS[batch.targets])


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_without_an_order_all_rows_come_as_they_lie(source: Source) -> None:
    assert [batch.targets.tolist() for batch in source.batches(None, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(source) == 10


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_the_rest_of_an_epoch_that_is_over_has_no_batch(source: Source) -> None:
    assert list(source.batches(torch.tensor([], dtype=torch.int64), 4)) == []


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_reading_draws_none_of_the_trainings_random_numbers(source: Source) -> None:
    torch.manual_seed(0)
    expected = torch.get_rng_state()
    list(source.batches(torch.arange(10), 3))
    assert torch.equal(torch.get_rng_state(), expected)


def test_rows_lie_on_the_device_up_to_a_quarter_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 10 * 2 * 4
    for memory, kind in ((size * 4, Resident), (size * 4 - 1, Workers)):
        monkeypatch.setattr(sources, "_memory", lambda _device, memory=memory: memory)
        assert type(open_source(ROWS, CPU, loading="auto", workers=2)) is kind


@pytest.mark.parametrize(("loading", "kind"), [("resident", Resident), ("workers", Workers)])
def test_who_asks_for_a_way_of_loading_gets_it(loading: object, kind: type) -> None:
    assert type(first_fold(Settings(loading=loading)).training) is kind  # type: ignore[arg-type]


def test_a_container_counts_the_memory_that_it_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(sources, "_CGROUP_LIMIT", limit)
    physical = sources._memory(CPU)
    limit.write_text("max\n")
    assert sources._memory(CPU) == physical > 2**28
    limit.write_text("1048576\n")
    assert sources._memory(CPU) == 2**20

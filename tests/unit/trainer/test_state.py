"""Each part of a training's state goes on from where it was, and counts rightly."""

from __future__ import annotations

import random
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning_trainer.state import DataOrder, History, MeanLoss, Randomness, Stopwatch

CPU = torch.device("cpu")


def order(rows: int = 10, *, batch_size: int = 4, accumulation: int = 1, seed: int = 0) -> DataOrder:
    return DataOrder(rows, batch_size=batch_size, accumulation=accumulation, seed=seed)


def walk(path: DataOrder) -> list[int]:
    """Make an epoch's steps; the rows of each."""
    steps = []
    for rows in path.steps():
        steps.append(rows)
        path.advance(rows)
    return steps


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from a checkpoint."""
    file = BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


STEPS = {
    "the last batch has what is left": ((10, 4, 1), [4, 4, 2]),
    "a batch larger than the data is the data": ((10, 64, 1), [10]),
    "a step is several batches": ((10, 2, 3), [6, 4]),
    "a last batch of one row is left out": ((9, 4, 1), [4, 4]),
    "one row is a batch where batches have one row": ((3, 1, 1), [1, 1, 1]),
    "a single row is learnt from": ((1, 4, 1), [1]),
}


@pytest.mark.parametrize(("sizes", "steps"), STEPS.values(), ids=STEPS)
def test_the_steps_of_an_epoch(sizes: tuple[int, int, int], steps: list[int]) -> None:
    rows, batch_size, accumulation = sizes
    path = order(rows, batch_size=batch_size, accumulation=accumulation)
    assert path.steps_per_epoch == len(steps)
    assert walk(path) == steps
    assert walk(path) == []


@settings(deadline=None)
@given(rows=st.integers(1, 200), batch_size=st.integers(1, 50), accumulation=st.integers(1, 5))
def test_an_epoch_visits_rows_once_and_all_of_them_but_a_lonely_one(rows: int, batch_size: int, accumulation: int) -> None:
    path = order(rows, batch_size=batch_size, accumulation=accumulation)
    visited = path.remaining().tolist()
    assert len(set(visited)) == len(visited) >= rows - 1
    assert set(visited) <= set(range(rows))
    assert len(walk(path)) == path.steps_per_epoch
    assert len(path.remaining()) == 0


def test_the_next_epoch_has_another_order() -> None:
    path = order(100)
    first = path.remaining()
    path.next_epoch()
    assert not torch.equal(first, path.remaining())


def test_the_order_follows_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = order(100, seed=1).remaining()
    torch.manual_seed(2)
    assert torch.equal(one, order(100, seed=1).remaining())
    assert not torch.equal(one, order(100, seed=2).remaining())


def test_an_order_restored_in_the_middle_of_an_epoch_goes_on_with_the_next_step() -> None:
    path = order(100)
    path.advance(next(path.steps()))
    restored = order(100, seed=99)
    restored.load_state_dict(stored(path.state_dict()))
    assert torch.equal(restored.remaining(), path.remaining())
    assert restored.steps_done == path.steps_done == 1
    for one in (path, restored):
        walk(one)
        one.next_epoch()
    assert torch.equal(restored.remaining(), path.remaining())


def test_the_training_loss_is_the_mean_over_rows_not_over_batches() -> None:
    loss = MeanLoss(CPU)
    loss.add(torch.tensor(1.0), rows=8)
    loss.add(torch.tensor(6.0), rows=2)
    assert loss.mean() == (8 * 1.0 + 2 * 6.0) / 10


def test_the_training_loss_forgets_the_epoch_before() -> None:
    loss = MeanLoss(CPU)
    loss.add(torch.tensor(1.0), rows=8)
    loss.next_epoch()
    loss.add(torch.tensor(6.0), rows=2)
    assert loss.mean() == 6.0


@pytest.mark.parametrize("interrupted_after", [1, 255, 256, 257, 600])
def test_a_training_loss_restored_anywhere_is_the_same_to_the_bit(interrupted_after: int) -> None:
    values = torch.rand(700, generator=torch.Generator().manual_seed(0))
    whole, part = MeanLoss(CPU), MeanLoss(CPU)
    for number, value in enumerate(values, start=1):
        whole.add(value, rows=3)
        part.add(value, rows=3)
        if number == interrupted_after:
            saved = stored(part.state_dict())
            part = MeanLoss(CPU)
            part.load_state_dict(saved)
    assert part.mean() == whole.mean()


def test_every_generator_goes_on_where_it_was() -> None:
    def draw() -> tuple[Any, ...]:
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()  # noqa: NPY002

    randomness = Randomness(CPU, seed=5)
    first = draw()
    saved = stored(randomness.state_dict())
    second = draw()
    again = Randomness(CPU, seed=5)
    assert draw() == first
    again.load_state_dict(saved)
    assert draw() == second


def test_a_history_restored_has_the_same_epochs_and_metrics() -> None:
    history = History()
    metrics = {"train_loss": 0.5, "val_loss": 0.6, "val_accuracy": 0.7}
    figures: Any = {"train_accuracy": 0.8, "gradient_norm_median": 1.0}
    history.add(metrics, learning_rate=0.1, figures=figures)
    restored = History()
    restored.load_state_dict(stored(history.state_dict()))
    assert restored.epochs == history.epochs
    assert restored.metrics == [metrics]
    assert (restored.epochs[0].val_accuracy, restored.epochs[0].train_accuracy) == (0.7, 0.8)


def test_seconds_go_on_from_the_attempts_before() -> None:
    clock = Stopwatch()
    clock.load_state_dict({"seconds": 1000.0})
    assert clock.seconds >= 1000.0

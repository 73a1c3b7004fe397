"""The state counts steps and epochs, keeps the best weights, and knows when to stop."""

from __future__ import annotations

import pytest
import torch
from torch import nn, optim

from tuning_trainer.state import TrainingState


def new_state(rows: int = 10, seed: int = 0) -> TrainingState:
    model = nn.Linear(2, 2)
    return TrainingState(model, optim.SGD(model.parameters()), rows=rows, seed=seed)


def with_accuracies(*accuracies: float, min_delta: float = 0.0) -> TrainingState:
    """A state after epochs with these values; the bias holds the epoch's number."""
    state = new_state()
    for epoch, accuracy in enumerate(accuracies, start=1):
        with torch.no_grad():
            state.model.get_parameter("bias").fill_(epoch)
        state.end_epoch({"val_accuracy": accuracy}, min_delta=min_delta)
    return state


def test_an_epoch_visits_every_row_once() -> None:
    sizes = [len(batch) for batch in new_state().batches(4)]
    rows = torch.cat(list(new_state().batches(4)))
    assert sizes == [4, 4, 2]
    assert sorted(rows.tolist()) == list(range(10))


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    assert [len(batch) for batch in new_state().batches(64)] == [10]


def test_the_next_epoch_has_another_order() -> None:
    state = new_state(rows=100)
    first = torch.cat(list(state.batches(100)))
    state.end_epoch({"val_accuracy": 0.5}, min_delta=0)
    assert not torch.equal(first, torch.cat(list(state.batches(100))))


def test_the_order_follows_from_the_seed() -> None:
    one, same, other = (torch.cat(list(new_state(rows=100, seed=seed).batches(100))) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_training_loss_is_the_mean_over_rows_not_over_batches() -> None:
    state = new_state()
    for batch, loss in zip(state.batches(8), (1.0, 6.0), strict=True):
        state.end_step(batch, torch.tensor(loss))
    assert state.train_loss == (8 * 1.0 + 2 * 6.0) / 10


BEST = {
    "the highest": ((0.1, 0.9, 0.5), 0.0, 2),
    "the first of equals": ((0.1, 0.9, 0.9), 0.0, 2),
    "not one that is better by less than min_delta": ((0.50, 0.54, 0.56), 0.05, 3),
}


@pytest.mark.parametrize(("accuracies", "min_delta", "epoch"), BEST.values(), ids=BEST)
def test_the_best_epoch_is(accuracies: tuple[float, ...], min_delta: float, epoch: int) -> None:
    best = with_accuracies(*accuracies, min_delta=min_delta).best
    assert best is not None
    assert best.epoch == epoch
    assert best.weights["bias"].tolist() == [epoch, epoch]


FINISHED = {
    "not before its epochs are done": ((0.1, 0.2), 3, 0, False),
    "when its epochs are done": ((0.1, 0.2, 0.3), 3, 0, True),
    "never early without patience": ((0.9, *[0.1] * 50), 100, 0, False),
    "not while patience lasts": ((0.9, 0.1, 0.1), 100, 3, False),
    "when patience is over": ((0.9, 0.1, 0.1, 0.1), 100, 3, True),
    "not when a better epoch came in time": ((0.9, 0.1, 0.1, 0.95), 100, 3, False),
}


@pytest.mark.parametrize(("accuracies", "epochs", "patience", "finished"), FINISHED.values(), ids=FINISHED)
def test_a_training_is_finished(accuracies: tuple[float, ...], epochs: int, patience: int, *, finished: bool) -> None:
    assert with_accuracies(*accuracies).finished(epochs=epochs, patience=patience) is finished


def test_a_state_restored_in_the_middle_of_an_epoch_goes_on_with_the_next_batch() -> None:
    state = new_state()
    first, *rest = state.batches(4)
    state.end_step(first, torch.tensor(2.0))
    restored = new_state(seed=99)
    restored.load_state_dict(state.state_dict())
    assert [batch.tolist() for batch in restored.batches(4)] == [batch.tolist() for batch in rest]
    assert restored.train_loss == state.train_loss


def test_seconds_go_on_from_the_attempts_before() -> None:
    state = new_state()
    state.load_state_dict(new_state().state_dict() | {"seconds": 1000.0})
    assert state.seconds >= 1000.0

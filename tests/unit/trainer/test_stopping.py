"""Early stopping keeps the best epoch's weights and knows when waiting is over."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tuning_trainer.scoring import Monitored
from tuning_trainer.stopping import EarlyStopping

ACCURACY = Monitored("val_accuracy", higher_is_better=True)
LOSS = Monitored("val_loss", higher_is_better=False)


def seen(
    *values: float, monitored: Monitored = ACCURACY, patience: int = 0, min_delta: float = 0.0
) -> tuple[EarlyStopping, nn.Linear]:
    """Early stopping after epochs with these values; the model's bias holds the epoch's number."""
    stopping, model = EarlyStopping(monitored, patience=patience, min_delta=min_delta), nn.Linear(2, 2)
    for epoch, value in enumerate(values, start=1):
        nn.init.constant_(model.bias, epoch)
        stopping.see(epoch, {monitored.metric: value}, model)
    return stopping, model


BEST = {
    "the highest accuracy": (ACCURACY, (0.1, 0.9, 0.5), 0.0, 2),
    "the lowest loss": (LOSS, (0.9, 0.1, 0.5), 0.0, 2),
    "the first of equals": (ACCURACY, (0.1, 0.9, 0.9), 0.0, 2),
    "not one that is better by less than min_delta": (ACCURACY, (0.50, 0.54, 0.56), 0.05, 3),
}


@pytest.mark.parametrize(("monitored", "values", "min_delta", "epoch"), BEST.values(), ids=BEST)
def test_the_best_epoch_is(monitored: Monitored, values: tuple[float, ...], min_delta: float, epoch: int) -> None:
    stopping, model = seen(*values, monitored=monitored, min_delta=min_delta)
    assert stopping.best is not None
    assert stopping.best.epoch == epoch
    stopping.restore_best(model)
    assert model.bias.tolist() == [epoch, epoch]


OVER = {
    "never without patience": ((0.9, *[0.1] * 50), 0, False),
    "not while patience lasts": ((0.9, 0.1, 0.1), 3, False),
    "when patience is over": ((0.9, 0.1, 0.1, 0.1), 3, True),
    "not when a better epoch came in time": ((0.9, 0.1, 0.1, 0.95), 3, False),
}


@pytest.mark.parametrize(("values", "patience", "over"), OVER.values(), ids=OVER)
def test_waiting_is_over(values: tuple[float, ...], patience: int, *, over: bool) -> None:
    stopping, _ = seen(*values, patience=patience)
    assert stopping.over(len(values)) is over


def test_before_the_first_epoch_a_model_keeps_its_weights() -> None:
    stopping, model = seen()
    before = model.weight.clone()
    stopping.restore_best(model)
    assert torch.equal(model.weight, before)


def test_the_best_epoch_survives_a_checkpoint() -> None:
    stopping, model = seen(0.1, 0.9, 0.5)
    restored = EarlyStopping(ACCURACY, patience=1, min_delta=0.0)
    restored.load_state_dict(stopping.state_dict())
    assert restored.over(3)
    restored.restore_best(model)
    assert model.bias.tolist() == [2, 2]

"""Networks and optimisers are what their names and settings say."""

from __future__ import annotations

import pytest
import torch
from torch import nn, optim

from tuning_trainer import models, optimizers
from tuning_trainer.settings import Settings


@pytest.mark.parametrize("layers", [1, 3])
def test_an_mlp_has_so_many_hidden_layers_of_so_many_units(layers: int) -> None:
    model = models.build(Settings(layers=layers, hidden_units=5, dropout=0.3), features=7, classes=4)
    widths = [(module.in_features, module.out_features) for module in model.modules() if isinstance(module, nn.Linear)]
    assert widths == [(7, 5), *[(5, 5)] * (layers - 1), (5, 4)]
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.3] * layers
    assert model(torch.zeros(2, 7)).shape == (2, 4)


OPTIMIZERS = {
    "adam": (optim.Adam, {"lr": 0.2, "weight_decay": 0.01, "decoupled_weight_decay": False}),
    "adamw": (optim.AdamW, {"lr": 0.2, "weight_decay": 0.01, "decoupled_weight_decay": True}),
    "sgd": (optim.SGD, {"lr": 0.2, "weight_decay": 0.01, "momentum": 0.5}),
}


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_an_optimiser_gets_its_settings(name: str) -> None:
    settings = Settings(optimizer=name, learning_rate=0.2, momentum=0.5, weight_decay=0.01)  # type: ignore[arg-type]
    optimizer = optimizers.build(settings, nn.Linear(2, 2))
    kind, expected = OPTIMIZERS[name]
    assert type(optimizer) is kind
    assert expected.items() <= optimizer.param_groups[0].items()

"""An MLP has the layers that its settings name, and starts so that it can train."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tuning_trainer import models
from tuning_trainer.data.problem import Problem
from tuning_trainer.models.parts import BatchNorm, Residual
from tuning_trainer.settings import Settings

PROBLEM = Problem("classification", (7,), 4)


def kinds(settings: Settings) -> list[str]:
    return [type(module).__name__ for module in models.build(settings, PROBLEM).children()]


@pytest.mark.parametrize("layers", [1, 3])
def test_an_mlp_has_so_many_hidden_layers_of_so_many_units(layers: int) -> None:
    model = models.build(Settings(layers=layers, hidden_units=5, dropout=0.3), PROBLEM)
    widths = [(module.in_features, module.out_features) for module in model.modules() if isinstance(module, nn.Linear)]
    assert widths == [(7, 5), *[(5, 5)] * (layers - 1), (5, 4)]
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.3] * layers


def test_a_layer_is_linear_then_normalised_then_activated_then_dropped() -> None:
    assert kinds(Settings(normalization="none")) == ["Linear", "ReLU", "Dropout", "Linear"]
    assert kinds(Settings(normalization="batch")) == ["Linear", "BatchNorm", "ReLU", "Dropout", "Linear"]
    assert kinds(Settings(normalization="layer", activation="silu")) == ["Linear", "LayerNorm", "SiLU", "Dropout", "Linear"]


def test_residual_layers_begin_with_the_second() -> None:
    layers = kinds(Settings(layers=3, residual="on"))
    assert layers == ["Linear", "ReLU", "Dropout", "Residual", "Residual", "Linear"]


def test_a_residual_layer_adds_its_input_to_its_output() -> None:
    inputs = torch.randn(3, 5)
    assert torch.equal(Residual(nn.Tanh())(inputs), inputs + inputs.tanh())
    assert torch.equal(Residual(nn.Tanh(), shortcut=nn.ReLU())(inputs), inputs.relu() + inputs.tanh())


def test_batch_normalisation_takes_a_last_batch_of_one_row_by_its_running_statistics() -> None:
    normalization = BatchNorm(3)
    for _ in range(200):
        normalization(torch.randn(64, 3) * 4 + 2)
    before = {name: value.clone() for name, value in normalization.state_dict().items()}
    row = torch.tensor([[2.0, 6.0, -2.0]])
    assert torch.equal(normalization(row), normalization.eval()(row))
    assert all(torch.equal(value, before[name]) for name, value in normalization.state_dict().items())
    assert normalization(row)[0].tolist() == pytest.approx([0, 1, -1], abs=0.15)


def test_batches_of_several_rows_are_normalised_as_torch_does() -> None:
    inputs = torch.randn(9, 3)
    assert torch.equal(BatchNorm(3)(inputs), nn.BatchNorm1d(3)(inputs))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_deep_plain_network_keeps_the_size_of_its_signal(activation: Any) -> None:
    def first_over_last(layers: int, **others: Any) -> float:
        """Norm of the first hidden layer's gradient over that of the last's."""
        torch.manual_seed(0)
        model = models.build(Settings(layers=layers, activation=activation, hidden_units=64, **others), PROBLEM)
        targets = torch.arange(256) % PROBLEM.outputs
        nn.functional.cross_entropy(model(torch.randn(256, *PROBLEM.input_shape)), targets).backward()
        weights = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
        gradients = [float(weight.grad.norm()) for weight in weights if weight.grad is not None]
        return gradients[0] / gradients[-2]

    assert 0.1 < first_over_last(12) < 10


def test_networks_of_up_to_four_layers_and_residual_or_normalised_ones_start_as_torch_starts_them() -> None:
    for settings in (Settings(layers=4), Settings(layers=9, residual="on"), Settings(layers=9, normalization="layer")):
        model = models.build(settings, PROBLEM)
        hidden = [module for module in model.modules() if isinstance(module, nn.Linear)][1]
        assert hidden.bias.abs().max() > 0
        assert hidden.weight.abs().max() <= 1 / math.sqrt(settings.hidden_units)

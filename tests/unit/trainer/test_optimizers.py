"""An optimiser is what its name and settings say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn, optim

from tuning_client import ConfigurationError
from tuning_trainer import models, optimizers
from tuning_trainer.data.problem import Problem
from tuning_trainer.settings import Settings

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam")

TOLD: dict[str, Any] = {"learning_rate": 0.2, "momentum": 0.5, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6, "weight_decay": 0.01}


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("sgd", optim.SGD, {"lr": 0.2, "momentum": 0.5, "nesterov": False}),
        ("adam", optim.Adam, {"lr": 0.2, "betas": (0.8, 0.95), "eps": 1e-6, "decoupled_weight_decay": False}),
        ("adamw", optim.AdamW, {"lr": 0.2, "betas": (0.8, 0.95), "eps": 1e-6, "decoupled_weight_decay": True}),
        ("nadam", optim.NAdam, {"lr": 0.2, "betas": (0.8, 0.95), "eps": 1e-6, "decoupled_weight_decay": False}),
        ("rmsprop", optim.RMSprop, {"lr": 0.2, "alpha": 0.95, "momentum": 0.5, "eps": 1e-6, "centered": False}),
        ("adagrad", optim.Adagrad, {"lr": 0.2, "eps": 1e-6, "lr_decay": 0}),
    ],
)
def test_an_optimiser_gets_the_settings_that_it_uses(name: Any, kind: type[optim.Optimizer], expected: dict[str, Any]) -> None:
    optimizer = optimizers.build(Settings(optimizer=name, **TOLD), nn.Linear(2, 2))
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert expected.items() <= group.items()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_brings_a_loss_down(name: Any) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    inputs = torch.randn(64, 3)
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    # Adagrad's steps become shorter and shorter, so it takes longer ones.
    optimizer = optimizers.build(Settings(optimizer=name, learning_rate=0.5 if name == "adagrad" else 0.05), model)

    def loss() -> torch.Tensor:
        return nn.functional.mse_loss(model(inputs), targets)

    before = loss().item()
    for _ in range(100):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < before / 10


def test_nesterov_looks_ahead() -> None:
    optimizer = optimizers.build(Settings(optimizer="sgd", nesterov="on"), nn.Linear(2, 2))
    assert optimizer.param_groups[0]["nesterov"] is True


def test_nesterov_without_momentum_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError) as refused:
        optimizers.build(Settings(optimizer="sgd", nesterov="on", momentum=0), nn.Linear(2, 2))
    assert str(refused.value) == "nesterov: 'on' looks ahead along the momentum, and momentum is 0; give momentum: 0.9"


def test_an_optimiser_that_has_no_use_for_nesterov_does_not_mind_it() -> None:
    assert optimizers.build(Settings(optimizer="adam", nesterov="on", momentum=0), nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("model", "decaying"),
    [
        pytest.param("mlp", {"0.weight", "4.weight"}, id="an MLP's layers, and no normalisation"),
        pytest.param("cnn", {"1.0.weight", "5.weight"}, id="convolutions, and no normalisation"),
        pytest.param(
            "transformer",
            {
                "0.weight",
                "2.self_attn.in_proj_weight",
                "2.self_attn.out_proj.weight",
                "2.linear1.weight",
                "2.linear2.weight",
                "5.weight",
            },
            id="a transformer's layers, and neither the class's token nor the features' biases",
        ),
    ],
)
def test_weight_decay_leaves_biases_and_normalisations_alone(model: Any, decaying: set[str]) -> None:
    settings = Settings(model=model, normalization="batch", hidden_units=4, optimizer="sgd", weight_decay=0.5)
    network = models.build(settings, Problem("classification", (64,), 3))
    groups = optimizers.build(settings, network).param_groups
    names = {id(weight): name for name, weight in network.named_parameters()}
    decays = {names[id(weight)]: group["weight_decay"] for group in groups for weight in group["params"]}
    assert decays == {name: 0.5 if name in decaying else 0.0 for name in names.values()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_pulls_weights_to_zero_and_no_bias(name: Any) -> None:
    model = nn.Linear(2, 2)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    optimizer = optimizers.build(Settings(optimizer=name, weight_decay=0.1, learning_rate=0.1), model)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert (model.weight < 1).all()
    assert (model.bias == 1).all()


def test_frozen_weights_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))  # noqa: FBT003 - torch's own signature
    optimizer = optimizers.build(Settings(), model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


def test_a_model_of_biases_alone_has_one_group() -> None:
    model = nn.LayerNorm(4)
    assert [group["weight_decay"] for group in optimizers.build(Settings(weight_decay=1), model).param_groups] == [0.0]


@pytest.mark.parametrize(
    ("largest", "after"), [pytest.param(1.0, 1.0, id="scaled down to it"), pytest.param(50.0, 13.0, id="left as they are")]
)
def test_gradients_are_clipped_by_their_joint_norm(largest: float, after: float) -> None:
    model = nn.Linear(1, 1)
    optimizer = optimizers.build(Settings(), model)
    model.weight.grad, model.bias.grad = torch.tensor([[5.0]]), torch.tensor([12.0])
    assert optimizers.clip(optimizer, largest=largest).item() == pytest.approx(13)
    assert torch.hypot(model.weight.grad[0, 0], model.bias.grad[0]).item() == pytest.approx(after, rel=1e-4)

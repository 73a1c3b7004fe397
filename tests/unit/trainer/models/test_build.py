"""Every network takes the rows of every problem that it is for, and gives one answer for each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tuning_client import ConfigurationError
from tuning_trainer import models
from tuning_trainer.data.problem import Problem
from tuning_trainer.settings import Settings

DIGITS = Problem("classification", (64,), 10)
WINE = Problem("classification", (13,), 3)
DIABETES = Problem("regression", (10,), 1)
PHOTOS = Problem("classification", (3, 17, 40), 4)


def rows(problem: Problem, number: int = 5) -> torch.Tensor:
    return torch.randn(number, *problem.input_shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("residual", ["on", "off"])
@pytest.mark.parametrize(
    ("model", "dataset", "problem"),
    [
        pytest.param("linear", "digits", DIGITS, id="logistic regression of a table"),
        pytest.param("linear", "diabetes", DIABETES, id="linear regression of a table"),
        pytest.param("linear", "images", PHOTOS, id="logistic regression of images"),
        pytest.param("mlp", "wine", WINE, id="an MLP on a table"),
        pytest.param("mlp", "diabetes", DIABETES, id="an MLP on a regression"),
        pytest.param("mlp", "images", PHOTOS, id="an MLP on images"),
        pytest.param("cnn", "images", PHOTOS, id="a CNN on images of odd sides"),
        pytest.param("cnn", "digits", DIGITS, id="a CNN on the digits' rows"),
        pytest.param("transformer", "wine", WINE, id="a transformer on a table"),
        pytest.param("transformer", "diabetes", DIABETES, id="a transformer on a regression"),
        pytest.param("transformer", "images", PHOTOS, id="a transformer on images"),
    ],
)
def test_a_network_gives_one_answer_for_each_row_and_every_weight_learns_from_it(
    *, model: Any, dataset: Any, problem: Problem, normalization: Any, residual: Any
) -> None:
    settings = Settings(
        model=model, dataset=dataset, layers=3, hidden_units=8, activation="gelu", normalization=normalization, residual=residual
    )
    network = models.build(settings, problem)
    answers = network(rows(problem))
    assert answers.shape == (5, problem.outputs)
    answers.square().sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "transformer"])
def test_the_same_seed_gives_the_same_network_and_another_seed_another(model: Any) -> None:
    def answers(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        answer: torch.Tensor = models.build(Settings(model=model, hidden_units=8), DIGITS).eval()(rows(DIGITS))
        return answer

    assert torch.equal(answers(1), answers(1))
    assert not torch.equal(answers(1), answers(2))


@pytest.mark.parametrize("model", ["mlp", "cnn", "transformer"])
@pytest.mark.parametrize(
    ("activation", "kind"),
    [("relu", nn.ReLU), ("gelu", nn.GELU), ("silu", nn.SiLU), ("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid)],
)
def test_the_hidden_activations_are_one_for_each_layer(model: Any, activation: Any, kind: type[nn.Module]) -> None:
    network = models.build(Settings(model=model, layers=3, hidden_units=8, activation=activation), DIGITS)
    assert [type(module) for module in models.hidden_activations(network)] == [kind] * 3


def test_a_linear_model_has_no_hidden_activations() -> None:
    assert models.hidden_activations(models.build(Settings(model="linear"), DIGITS)) == ()


@pytest.mark.parametrize(
    ("settings", "problem", "sentence"),
    [
        pytest.param(
            Settings(model="transformer", hidden_units=10, heads=4),
            DIGITS,
            "heads: 4 is no divisor of hidden_units: 10; give hidden_units that are a multiple of heads",
            id="heads that do not divide the width",
        ),
        pytest.param(
            Settings(model="transformer"),
            Problem("classification", (5, 3), 2),
            "model: 'transformer' reads features or images, and a row has the shape (5, 3); give model: mlp",
            id="rows that are neither features nor an image",
        ),
        pytest.param(
            Settings(model="cnn", dataset="wine"),
            WINE,
            "model: 'cnn' needs images, and a row of --dataset=wine is a list of 13 features;"
            " give model: mlp, or --dataset=images",
            id="a table for a CNN",
        ),
        pytest.param(
            Settings(model="cnn", dataset="file"),
            Problem("classification", (1, 40, 7), 2),
            "model: 'cnn' needs images of 8 by 8 pixels or more, and these are 40 by 7; give model: mlp",
            id="images too small for a CNN",
        ),
        pytest.param(
            Settings(model="mlp", normalization="batch", batch_size=1),
            WINE,
            "normalization: 'batch' needs rows to compare, and batch_size is 1;"
            " give a larger batch_size, or normalization: layer",
            id="batch normalisation of single rows",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_a_sentence(settings: Settings, problem: Problem, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        models.build(settings, problem)
    assert str(refused.value) == sentence

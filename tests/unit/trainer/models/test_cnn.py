"""A CNN takes images of any size from 8 pixels on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from tuning_trainer import models
from tuning_trainer.data.problem import Problem
from tuning_trainer.settings import Settings


def convolutions(model: nn.Module) -> list[tuple[int, int]]:
    return [
        (module.in_channels, module.out_channels)
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]


@settings(deadline=None, max_examples=40)
@given(
    channels=some.sampled_from([1, 3]),
    height=some.integers(8, 70),
    width=some.integers(8, 70),
    layers=some.integers(1, 7),
    residual=some.sampled_from(["on", "off"]),
)
def test_images_of_any_size_become_one_answer_each(*, channels: int, height: int, width: int, layers: int, residual: Any) -> None:
    problem = Problem("classification", (channels, height, width), 3)
    model = models.build(Settings(model="cnn", dataset="images", layers=layers, hidden_units=2, residual=residual), problem)
    assert model(torch.zeros(2, channels, height, width)).shape == (2, 3)


def test_channels_double_with_each_halving_up_to_eight_times_the_first() -> None:
    model = models.build(
        Settings(model="cnn", dataset="images", layers=7, hidden_units=4), Problem("classification", (3, 256, 256), 2)
    )
    assert convolutions(model) == [(3, 4), (4, 8), (8, 16), (16, 32), (32, 32), (32, 32), (32, 32)]


def test_sides_below_eight_pixels_are_halved_no_more() -> None:
    model = models.build(Settings(model="cnn", layers=4, hidden_units=4), Problem("classification", (1, 8, 8), 10))
    assert sum(isinstance(module, nn.MaxPool2d) for module in model.modules()) == 1
    assert convolutions(model) == [(1, 4), (4, 8), (8, 8), (8, 8)]


def test_the_digits_are_the_same_images_as_rows_and_as_pixels() -> None:
    def build(shape: tuple[int, ...]) -> nn.Module:
        torch.manual_seed(0)
        return models.build(Settings(model="cnn", hidden_units=4), Problem("classification", shape, 10))

    rows = torch.randn(3, 64)
    assert torch.equal(build((64,))(rows), build((1, 8, 8))(rows.reshape(3, 1, 8, 8)))


@pytest.mark.parametrize(("normalization", "kind"), [("none", None), ("batch", nn.BatchNorm2d), ("layer", nn.GroupNorm)])
def test_each_convolution_has_its_normalisation(normalization: Any, kind: type[nn.Module] | None) -> None:
    model = models.build(
        Settings(model="cnn", layers=2, hidden_units=4, normalization=normalization), Problem("classification", (64,), 10)
    )
    assert [type(module) for module in model.modules() if "Norm" in type(module).__name__] == ([kind] * 2 if kind else [])


def test_dropout_switches_whole_channels_off() -> None:
    model = models.build(Settings(model="cnn", hidden_units=16, dropout=0.5), Problem("classification", (64,), 10))
    (dropout,) = (module for module in model.modules() if isinstance(module, nn.Dropout2d))
    maps = dropout(torch.ones(4, 16, 8, 8))
    shares = (maps == 0).double().mean(dim=(2, 3))
    assert set(shares.unique().tolist()) == {0.0, 1.0}

"""A small convolutional network for images of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from torch import nn

from tuning_client import ConfigurationError
from tuning_trainer.data.problem import Problem
from tuning_trainer.models.parts import Residual, activation, start_deep
from tuning_trainer.settings import Settings

_SMALLEST_HALVED: Final = 8
"""Pixels of a side that is still halved, so that what is left has at least 4."""

_GRID: Final = 4
"""Cells of a side, at most, into which the last maps are averaged: where something is matters, to the pixel it does not."""

_MOST_WIDENING: Final = 8
"""Channels are doubled with each halving, up to this many times the first."""

_DIGITS: Final = (1, 8, 8)
"""scikit-learn offers its digits as rows of 64 numbers; each is an image of 8 by 8."""


def cnn(settings: Settings, problem: Problem) -> nn.Sequential:
    """`layers` convolutions of 3 by 3: convolution, normalisation, activation, dropout of channels, halving.

    Raises:
        ConfigurationError: rows are no images, or their sides are below 8 pixels.
    """
    channels, height, width = image_shape(settings, problem)
    unflatten = [nn.Unflatten(1, (channels, height, width))] if len(problem.input_shape) == 1 else []
    convolutions: list[nn.Module] = []
    outputs = settings.hidden_units
    for number in range(settings.layers):
        convolutions.append(_convolution(settings, channels, outputs, residual=settings.residual == "on" and number > 0))
        channels = outputs
        if min(height, width) >= _SMALLEST_HALVED:
            convolutions.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
            outputs = min(2 * outputs, _MOST_WIDENING * settings.hidden_units)
    # AdaptiveAvgPool2d would say this shorter, but on a GPU its gradient does not repeat to the bit.
    cell = (_ceil_divide(height, _GRID), _ceil_divide(width, _GRID))
    cells = _ceil_divide(height, cell[0]) * _ceil_divide(width, cell[1])
    pooling = nn.AvgPool2d(cell, ceil_mode=True)
    answer = nn.Linear(channels * cells, problem.outputs)
    return start_deep(settings, nn.Sequential(*unflatten, *convolutions, pooling, nn.Flatten(), answer))


def image_shape(settings: Settings, problem: Problem) -> tuple[int, int, int]:
    """Channels, height and width of a row.

    Raises:
        ConfigurationError: rows are no images, or their sides are below 8 pixels.
    """
    shape = _DIGITS if settings.dataset == "digits" else problem.input_shape
    match shape:
        case (channels, height, width) if min(height, width) >= _SMALLEST_HALVED:
            return channels, height, width
        case (_, height, width):
            raise ConfigurationError(
                f"model: 'cnn' needs images of 8 by 8 pixels or more, and these are {height} by {width}; give model: mlp"
            )
        case _:
            raise ConfigurationError(
                f"model: 'cnn' needs images, and a row of --dataset={settings.dataset} is a list of {shape[0]} features;"
                " give model: mlp, or --dataset=images"
            )


def _convolution(settings: Settings, inputs: int, outputs: int, *, residual: bool) -> nn.Module:
    body = nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
        *_normalization(settings, outputs),
        activation(settings),
        nn.Dropout2d(settings.dropout),
    )
    if not residual:
        return body
    return Residual(body, nn.Conv2d(inputs, outputs, kernel_size=1) if inputs != outputs else None)


def _normalization(settings: Settings, channels: int) -> Iterator[nn.Module]:
    match settings.normalization:
        case "batch":
            yield nn.BatchNorm2d(channels)
        case "layer":
            # One group: mean and deviation over all channels and pixels of a row.
            yield nn.GroupNorm(1, channels)
        case "none":
            pass


def _ceil_divide(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)

"""Networks of fully connected layers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import prod

from torch import nn

from tuning_client import ConfigurationError
from tuning_trainer.data.problem import Problem
from tuning_trainer.models.parts import BatchNorm, Residual, activation, start_deep
from tuning_trainer.settings import Settings


def linear(problem: Problem) -> nn.Sequential:
    """Logistic or linear regression: one layer, no activation."""
    return nn.Sequential(*_flatten(problem), nn.Linear(prod(problem.input_shape), problem.outputs))


def mlp(settings: Settings, problem: Problem) -> nn.Sequential:
    """`layers` hidden layers of `hidden_units` each: linear, normalisation, activation, dropout.

    Raises:
        ConfigurationError: batch normalisation of batches of one row.
    """
    if settings.normalization == "batch" and settings.batch_size == 1:
        raise ConfigurationError(
            "normalization: 'batch' needs rows to compare, and batch_size is 1; give a larger batch_size, or normalization: layer"
        )
    widths = [prod(problem.input_shape), *[settings.hidden_units] * settings.layers]
    network = nn.Sequential(*_flatten(problem), *_hidden(settings, widths), nn.Linear(widths[-1], problem.outputs))
    return start_deep(settings, network)


def _hidden(settings: Settings, widths: list[int]) -> Iterator[nn.Module]:
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        layer = [
            nn.Linear(inputs, outputs),
            *_normalization(settings, outputs),
            activation(settings),
            nn.Dropout(settings.dropout),
        ]
        if settings.residual == "on" and number > 0:
            yield Residual(nn.Sequential(*layer))
        else:
            yield from layer


def _normalization(settings: Settings, units: int) -> Iterator[nn.Module]:
    match settings.normalization:
        case "batch":
            yield BatchNorm(units)
        case "layer":
            yield nn.LayerNorm(units)
        case "none":
            pass


def _flatten(problem: Problem) -> Iterator[nn.Module]:
    if len(problem.input_shape) > 1:
        yield nn.Flatten()

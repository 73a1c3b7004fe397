"""A small transformer: a table's features, or an image's patches, attend to one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from tuning_client import ConfigurationError
from tuning_trainer.data.problem import Problem
from tuning_trainer.models.parts import WithClassToken, activation
from tuning_trainer.settings import Settings

_FEED_FORWARD: Final = 4
"""Width of a block's hidden layer over that of a token (Vaswani et al. 2017, arXiv 1706.03762)."""

_PATCHES: Final = 8
"""Patches along the longer side of an image, at most: attention costs the square of their number."""


class FeatureTokens(nn.Module):
    """Rows (rows, features) to tokens (rows, features, width): each feature times a vector, plus another.

    Gorishniy et al. 2021, arXiv 2106.11959, section 3.3, with that paper's uniform start.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, width))
        self.bias = nn.Parameter(torch.empty(features, width))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def forward(self, rows: Tensor) -> Tensor:
        """(rows, features, width)."""
        return rows.unsqueeze(-1) * self.weight + self.bias


class PatchTokens(nn.Module):
    """Images (rows, channels, height, width) to tokens (rows, patches, width).

    Dosovitskiy et al. 2021, arXiv 2010.11929: each square patch by one linear map, plus a vector for its place.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, *sides = shape
        side = -(-max(sides) // _PATCHES)
        down, across = (-(-length // side) for length in sides)
        # The image is filled up with zeros at its lower and right edges to whole patches.
        self.fill = nn.ZeroPad2d((0, across * side - sides[1], 0, down * side - sides[0]))
        self.patches = nn.Conv2d(channels, width, kernel_size=side, stride=side)
        self.places = nn.Parameter(torch.empty(down * across, width))
        nn.init.normal_(self.places, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """(rows, patches, width)."""
        tokens: Tensor = self.patches(self.fill(images)).flatten(2).transpose(1, 2) + self.places
        return tokens


class FirstToken(nn.Module):
    """Tokens (rows, tokens, width) to the first of each row (rows, width)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(rows, width)."""
        return tokens[:, 0]


def transformer(settings: Settings, problem: Problem) -> nn.Sequential:
    """`layers` blocks of tokens `hidden_units` wide, each normalised before attention and before its feed-forward part.

    Raises:
        ConfigurationError: the width is no multiple of the number of heads.
    """
    width = settings.hidden_units
    if width % settings.heads:
        raise ConfigurationError(
            f"heads: {settings.heads} is no divisor of hidden_units: {width}; give hidden_units that are a multiple of heads"
        )
    return nn.Sequential(
        _tokens(problem, width),
        WithClassToken(width),
        *_blocks(settings),
        FirstToken(),
        nn.LayerNorm(width),
        nn.Linear(width, problem.outputs),
    )


def _tokens(problem: Problem, width: int) -> nn.Module:
    match problem.input_shape:
        case (features,):
            return FeatureTokens(features, width)
        case (channels, height, image_width):
            return PatchTokens((channels, height, image_width), width)
        case shape:
            raise ConfigurationError(
                f"model: 'transformer' reads features or images, and a row has the shape {shape}; give model: mlp"
            )


def _blocks(settings: Settings) -> Iterator[nn.Module]:
    # Each made anew: nn.TransformerEncoder copies one, and all of its blocks start with the same weights.
    for _ in range(settings.layers):
        yield nn.TransformerEncoderLayer(
            settings.hidden_units,
            settings.heads,
            dim_feedforward=_FEED_FORWARD * settings.hidden_units,
            dropout=settings.dropout,
            activation=activation(settings),
            batch_first=True,
            norm_first=True,
        )

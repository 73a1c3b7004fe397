"""What the networks are put together from."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from tuning_trainer.settings import Settings

ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(settings: Settings) -> nn.Module:
    """The activation that settings name."""
    return ACTIVATIONS[settings.activation]()


class Residual(nn.Module):
    """A body's output added to its input (He et al. 2016, arXiv 1512.03385).

    Args:
        body: from inputs to outputs.
        shortcut: what gives the inputs the outputs' shape, where the two differ.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut or nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """Of the body's output shape."""
        outputs: Tensor = self.shortcut(inputs) + self.body(inputs)
        return outputs


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of one row too, as an epoch's last may be.

    One row has no deviation, so the running statistics stand in for its own.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """(rows, units) in and out."""
        if self.training and len(inputs) == 1:
            return nn.functional.batch_norm(inputs, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(inputs)


class WithClassToken(nn.Module):
    """Tokens (rows, tokens, width) behind one of its own, from which the answer is read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(width))
        nn.init.uniform_(self.token, -(width**-0.5), width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """(rows, 1 + tokens, width)."""
        return torch.cat([self.token.expand(len(tokens), 1, -1), tokens], dim=1)

"""Networks, by name."""

from __future__ import annotations

from typing import Final

from torch import nn

from tuning_trainer.data.problem import Problem
from tuning_trainer.models.cnn import cnn
from tuning_trainer.models.compiled import compile_in_place
from tuning_trainer.models.custom import custom
from tuning_trainer.models.mlp import linear, mlp
from tuning_trainer.models.parts import ACTIVATIONS
from tuning_trainer.models.transformer import transformer
from tuning_trainer.settings import Settings

__all__ = ["build", "compile_in_place", "hidden_activations"]

_ACTIVATIONS: Final = tuple(ACTIVATIONS.values())


def build(settings: Settings, problem: Problem) -> nn.Module:
    """The network that settings name: (rows, *input_shape) in, (rows, outputs) out.

    Outputs are one logit for each class, or one standardised number. Settings that the network has no use for are not used.

    Raises:
        ConfigurationError: the settings do not go together, or not with the rows.
    """
    match settings.model:
        case "linear":
            return linear(problem)
        case "mlp":
            return mlp(settings, problem)
        case "cnn":
            return cnn(settings, problem)
        case "transformer":
            return transformer(settings, problem)
        case "custom":
            return custom(settings, problem)


def hidden_activations(model: nn.Module) -> tuple[nn.Module, ...]:
    """The modules whose outputs are hidden units, in the order in which they were made; none of a linear model."""
    return tuple(module for module in model.modules() if isinstance(module, _ACTIVATIONS))

"""Optimisers, by name."""

from __future__ import annotations

from torch import nn, optim

from tuning_trainer.settings import Settings


def build(settings: Settings, model: nn.Module) -> optim.Optimizer:
    """The optimiser that settings name, over all weights of the model.

    `weight_decay` is decoupled from the gradient in adamw (Loshchilov and Hutter 2019, arXiv 1711.05101); in adam
    and sgd it is an L2 penalty.
    """
    weights = model.parameters()
    match settings.optimizer:
        case "adam":
            return optim.Adam(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        case "adamw":
            return optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        case "sgd":
            return optim.SGD(weights, lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay)

"""Early stopping: which epoch is the best so far, its weights, and whether to wait for a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tuning_trainer.scoring import Monitored


@dataclass(frozen=True)
class Best:
    """The best epoch so far, counted from 1: its metrics and the weights after it."""

    epoch: int
    metrics: Mapping[str, float]
    weights: Mapping[str, Tensor]


class EarlyStopping:
    """Compares epochs by one metric.

    Args:
        monitored: the metric.
        patience: epochs to wait for a better one; 0: however many.
        min_delta: an epoch is better when its metric beats the best by more than this.
    """

    def __init__(self, monitored: Monitored, *, patience: int, min_delta: float) -> None:
        self.monitored = monitored
        self._patience = patience
        self._min_delta = min_delta
        self.best: Best | None = None

    def see(self, epoch: int, metrics: Mapping[str, float], model: nn.Module) -> None:
        """Keep the weights of an epoch that is better than all before; the first of equals stays the best."""
        lowest = self.monitored.to_minimise(self.best.metrics) if self.best else math.inf
        if self.monitored.to_minimise(metrics) < lowest - self._min_delta:
            weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
            self.best = Best(epoch, dict(metrics), weights)

    def over(self, epoch: int) -> bool:
        """Whether patience is over after this epoch."""
        return self.best is not None and 0 < self._patience <= epoch - self.best.epoch

    @torch.no_grad()
    def restore_best(self, model: nn.Module) -> None:
        """Give the model the weights of its best epoch; without an epoch it keeps its own."""
        if self.best:
            model.load_state_dict(self.best.weights)

    def state_dict(self) -> dict[str, Any]:
        """The best epoch, as tensors and plain values."""
        return {"best": vars(self.best) if self.best else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken; the weights stay on the device that the state is on."""
        self.best = Best(**state["best"]) if state["best"] else None

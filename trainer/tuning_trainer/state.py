"""What changes while training, and so what a checkpoint holds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn, optim


@dataclass(frozen=True)
class Best:
    """The best epoch so far: its metrics and the weights after it."""

    epoch: int
    metrics: Mapping[str, float]
    weights: Mapping[str, Tensor]


class TrainingState:
    """Weights, optimiser, random numbers, and how far the training has come, to the step.

    Args:
        model: on the device.
        optimizer: of the model's weights.
        rows: training rows, which each epoch visits once in a new order.
        seed: of that order. It has a generator of its own, so that the order does not depend on dropout.
    """

    def __init__(self, model: nn.Module, optimizer: optim.Optimizer, *, rows: int, seed: int) -> None:
        self.model = model
        self.optimizer = optimizer
        self.epoch = 0  # epochs finished
        self.best: Best | None = None
        self._rows = rows
        self._device = next(model.parameters()).device
        self._shuffle = torch.Generator().manual_seed(seed)
        self._seconds_before = 0.0
        self._continued_at = time.perf_counter()
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._order = torch.randperm(self._rows, generator=self._shuffle).to(self._device)
        self._row = 0  # rows of this epoch already learnt from
        # On the device: reading the loss of each step would make the GPU wait for Python.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)

    @property
    def seconds(self) -> float:
        """Time spent training, over all attempts."""
        return self._seconds_before + time.perf_counter() - self._continued_at

    @property
    def train_loss(self) -> float:
        """Mean loss over the rows of this epoch so far, each as the model was when it learnt from it."""
        return self._loss_sum.item() / self._row

    def batches(self, size: int) -> Iterator[Tensor]:
        """Row numbers of this epoch's remaining steps; the last one may have fewer than `size`."""
        for row in range(self._row, self._rows, size):
            yield self._order[row : row + size]

    def end_step(self, batch: Tensor, loss: Tensor) -> None:
        """Count a step; `loss` is the batch's mean."""
        self._row += len(batch)
        self._loss_sum += loss.detach() * len(batch)

    def end_epoch(self, metrics: Mapping[str, float], *, min_delta: float) -> None:
        """Count an epoch, keep its weights if its val_accuracy is the best by more than `min_delta`, begin the next."""
        self.epoch += 1
        highest = self.best.metrics["val_accuracy"] if self.best else -math.inf
        if metrics["val_accuracy"] > highest + min_delta:
            weights = {name: weight.clone() for name, weight in self.model.state_dict().items()}
            self.best = Best(self.epoch, dict(metrics), weights)
        self._begin_epoch()

    def finished(self, *, epochs: int, patience: int) -> bool:
        """Whether all epochs are done, or `patience` of them have passed without a better one (0: never)."""
        waited = self.epoch - self.best.epoch if self.best else 0
        return self.epoch >= epochs or 0 < patience <= waited

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "row": self._row,
            "order": self._order,
            "loss_sum": self._loss_sum,
            "best": asdict(self.best) if self.best else None,
            "seconds": self.seconds,
            "shuffle": self._shuffle.get_state(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, on this device."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]
        self._row = state["row"]
        self._order = state["order"].to(self._device)
        self._loss_sum = state["loss_sum"].to(self._device)
        self.best = Best(**state["best"]) if state["best"] else None
        self._seconds_before, self._continued_at = state["seconds"], time.perf_counter()
        self._shuffle.set_state(state["shuffle"])
        torch.set_rng_state(state["random"])
        if self._device.type == "cuda" and state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self._device)

"""What changes while training, and so what a checkpoint holds."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn, optim

from tuning_client import Diagnosis
from tuning_trainer.diagnosis import Epoch
from tuning_trainer.measures import Figures, Measures
from tuning_trainer.outcome import Outcome
from tuning_trainer.precision import Precision
from tuning_trainer.schedules import Schedule
from tuning_trainer.stopping import EarlyStopping


class Stateful(Protocol):
    """A part that goes on from where it was, to the last bit."""

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors and plain values."""

    def load_state_dict(self, state: Any) -> object:
        """Continue where `state_dict` was taken."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything that the next step of a training depends on. A checkpoint may be taken between any two steps."""

    model: nn.Module
    optimizer: optim.Optimizer
    schedule: Schedule
    precision: Precision
    measures: Measures
    stopping: EarlyStopping
    order: DataOrder
    loss: MeanLoss
    history: History
    randomness: Randomness
    clock: Stopwatch

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.history.epochs)

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Count an epoch whose steps are done, and be ready for the next.

        Args:
            metrics: its train_loss, and the metrics of the validation rows where there are any.
        """
        self.history.add(metrics, learning_rate=self.schedule.learning_rate, figures=self.measures.end_epoch())
        self.schedule.end_epoch(self.stopping.monitored.to_minimise(metrics))
        self.loss.next_epoch()
        self.order.next_epoch()

    def outcome(self, diagnoses: tuple[Diagnosis, ...], warnings: tuple[str, ...]) -> Outcome:
        """How the training ended, which is now: the metrics of its best epoch, or of its last if that diverged."""
        best = self.stopping.best
        last = Outcome(
            metrics=self.history.metrics[-1],
            best_epoch=self.epoch,
            epochs=self.epoch,
            seconds=self.clock.seconds,
            diagnoses=diagnoses,
            warnings=warnings,
        )
        return last if last.diverged or best is None else replace(last, metrics=best.metrics, best_epoch=best.epoch)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, by part."""
        return {part.name: getattr(self, part.name).state_dict() for part in fields(self)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, on this machine's device."""
        # Without gradients it changes nothing; torch's schedules warn of an optimiser that has made no step.
        self.optimizer.step()
        for part in fields(self):
            getattr(self, part.name).load_state_dict(state[part.name])


class DataOrder:
    """The order in which an epoch visits the training rows, and how far it has come.

    A last batch of one row is left out of its epoch: batch normalisation cannot learn from it. Which row that is
    differs from epoch to epoch.

    Args:
        rows: of the training part.
        batch_size: rows of one pass through the network.
        accumulation: batches of one step.
        seed: of the order. It has a generator of its own, so that it does not depend on dropout.
    """

    def __init__(self, rows: int, *, batch_size: int, accumulation: int, seed: int) -> None:
        self._all_rows = rows
        self._rows = rows - 1 if rows > batch_size > 1 and rows % batch_size == 1 else rows
        self._step_rows = batch_size * accumulation
        self._generator = torch.Generator().manual_seed(seed)
        self.next_epoch()

    @property
    def steps_done(self) -> int:
        """Of this epoch."""
        return -(-self._position // self._step_rows)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in a whole epoch."""
        return -(-self._rows // self._step_rows)

    def next_epoch(self) -> None:
        """Begin an epoch in a new order."""
        self._order = torch.randperm(self._all_rows, generator=self._generator)[: self._rows]
        self._position = 0

    def remaining(self) -> Tensor:
        """Numbers of the rows that this epoch has still to learn from, on the CPU."""
        return self._order[self._position :]

    def steps(self) -> Iterator[int]:
        """Rows of each of this epoch's remaining steps; the last one may have fewer. Each must `advance` before the next."""
        while self._position < self._rows:
            yield min(self._step_rows, self._rows - self._position)

    def advance(self, rows: int) -> None:
        """Count a step."""
        self._position += rows

    def state_dict(self) -> dict[str, Any]:
        """See `Stateful`."""
        return {"order": self._order, "position": self._position, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Stateful`."""
        self._order, self._position = state["order"], state["position"]
        self._generator.set_state(state["generator"])


class MeanLoss:
    """Mean loss over the rows of an epoch, each as the model was when it learnt from it. No step waits for the device."""

    _TOGETHER: Final = 256
    """Losses that are added up in one operation: one for each step would be felt by a small network."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.next_epoch()

    def next_epoch(self) -> None:
        """Begin an epoch."""
        self._sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self._losses: list[Tensor] = []
        self._weights: list[int] = []
        self._rows = 0

    def add(self, loss: Tensor, *, rows: int) -> None:
        """Count a batch, of whose rows `loss` is the mean."""
        self._losses.append(loss.detach())
        self._weights.append(rows)
        self._rows += rows
        if len(self._losses) == self._TOGETHER:
            self._add_up()

    def mean(self) -> float:
        """Of the epoch so far. Waits for the device.

        Raises:
            ZeroDivisionError: it had no step.
        """
        self._add_up()
        return self._sum.item() / self._rows

    def _add_up(self) -> None:
        if self._losses:
            weights = torch.tensor(self._weights, dtype=torch.float64, device=self._device)
            self._sum = self._sum + torch.stack(self._losses).double() @ weights
            self._losses, self._weights = [], []

    def state_dict(self) -> dict[str, Any]:
        """See `Stateful`. The losses as they are: added up in other parts, they would differ in the last bit."""
        return {"sum": self._sum, "losses": list(self._losses), "weights": list(self._weights), "rows": self._rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Stateful`."""
        self._sum, self._rows = state["sum"].to(self._device), state["rows"]
        self._losses, self._weights = [loss.to(self._device) for loss in state["losses"]], list(state["weights"])


class History:
    """Each epoch so far: the figures from which a training is diagnosed, and its metrics."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.metrics: list[Mapping[str, float]] = []

    def add(self, metrics: Mapping[str, float], *, learning_rate: float, figures: Figures) -> None:
        """Count an epoch."""
        self.metrics.append(dict(metrics))
        self.epochs.append(
            Epoch(
                train_loss=metrics["train_loss"],
                val_loss=metrics.get("val_loss", math.nan),
                val_accuracy=metrics.get("val_accuracy"),
                learning_rate=learning_rate,
                **figures,
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """See `Stateful`."""
        return {"epochs": [vars(epoch) for epoch in self.epochs], "metrics": list(self.metrics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Stateful`."""
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.metrics = list(state["metrics"])


class Randomness:
    """The generators that a model may draw from: torch's on CPU and GPU, and, for users' models, NumPy's and Python's.

    Args:
        device: of the training.
        seed: all are set to it.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self._cuda = device if device.type == "cuda" else None
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the one that a user's code draws from unasked

    def state_dict(self) -> dict[str, Any]:
        """See `Stateful`."""
        name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self._cuda) if self._cuda else None,
            "numpy": (name, torch.from_numpy(np.asarray(keys)), *rest),
            "python": random.getstate(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Stateful`."""
        torch.set_rng_state(state["torch"])
        if self._cuda and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self._cuda)
        name, keys, *rest = state["numpy"]
        np.random.set_state((name, keys.numpy(), *rest))  # noqa: NPY002
        random.setstate(state["python"])


class Stopwatch:
    """Time spent training, over all attempts."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Until now."""
        return self._before + time.perf_counter() - self._since

    def state_dict(self) -> dict[str, Any]:
        """See `Stateful`."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Stateful`."""
        self._before, self._since = state["seconds"], time.perf_counter()

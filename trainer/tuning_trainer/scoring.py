"""What a training minimises, and the metrics that say how good its model is."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tuning_client import ConfigurationError
from tuning_trainer.data import Problem, Source
from tuning_trainer.settings import Settings

HIGHER_IS_BETTER: Final[Mapping[str, bool]] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "f1": True,
    "r2": True,
    "loss": False,
    "rmse": False,
    "mae": False,
}
"""Every metric, without the prefix that names its rows (val, test), and its direction."""

_OF_TASK: Final = {
    "classification": ("accuracy", "balanced_accuracy", "f1", "loss"),
    "regression": ("rmse", "mae", "r2", "loss"),
}
_BESIDE: Final = ("train_loss", "best_epoch", "epochs", "seconds")
"""What a result holds beside the metrics of the validation rows."""

_BATCHES_AT_ONCE: Final = 4
"""Training batches that are evaluated together: without gradients a row takes a fraction of the memory."""

_ELEMENTS_AT_ONCE: Final = 2**16
"""More of them where rows are this small: a small network is slow by its batches, not by its rows."""

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Monitored:
    """The metric by which epochs are compared: early stopping, the best weights and the plateau schedule follow it."""

    metric: str
    higher_is_better: bool

    def to_minimise(self, metrics: Mapping[str, float]) -> float:
        """The metric's value, turned so that lower is better."""
        value = metrics[self.metric]
        return -value if self.higher_is_better else value


ON_TRAINING_ROWS: Final = Monitored("train_loss", higher_is_better=False)
"""Where no rows validate."""


def monitored(objective: str, problem: Problem, *, by_hand: bool) -> Monitored:
    """The study's objective where it is a metric of the validation rows, else val_accuracy or val_rmse.

    Raises:
        ConfigurationError: the trainer has no such metric. A run by hand has no objective that it could miss.
    """
    names = [f"val_{name}" for name in _OF_TASK[problem.task]]
    metric = objective if objective in names else names[0]
    if not by_hand and objective not in (*names, *_BESIDE):
        meant = difflib.get_close_matches(objective, names, n=1)
        raise ConfigurationError(
            f"spec.objectives: {objective!r} is no metric that the trainer has for {problem.task};"
            f" {f'did you mean {meant[0]}?' if meant else 'the metrics are ' + ', '.join(names)}"
        )
    return Monitored(metric, HIGHER_IS_BETTER[metric.removeprefix("val_")])


def loss_function(settings: Settings, problem: Problem, class_weights: Tensor | None) -> Loss:
    """What is minimised: of outputs (rows, outputs) and targets (rows,), the mean over rows, a scalar.

    Cross-entropy in nats, or the squared error of the standardised target. In float32, whatever the network computes in.
    """
    if problem.task == "regression":
        return lambda outputs, targets: functional.mse_loss(outputs.float().squeeze(1), targets)
    smoothing = settings.label_smoothing
    return lambda outputs, targets: functional.cross_entropy(
        outputs.float(), targets, weight=class_weights, label_smoothing=smoothing
    )


class Scores(Protocol):
    """Gathers on the device what metrics need, batch by batch: a number or two for each row."""

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Take the outputs (rows, outputs) of a batch and its targets (rows,)."""

    def metrics(self, prefix: str) -> dict[str, float]:
        """The metrics of all rows so far, each name with the prefix. Waits for the device."""


class ClassScores:
    """Accuracy, balanced accuracy, F1 and cross-entropy (nats, without smoothing and class weights).

    Balanced accuracy is the mean over classes of the share of their rows that are found; F1 is the macro mean. Both are
    what scikit-learn's functions of these names give, which on a few hundred rows take as long as an epoch.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._losses: list[Tensor] = []
        self._named: list[Tensor] = []
        self._actual: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """See `Scores`."""
        outputs = outputs.float()
        self._losses.append(functional.cross_entropy(outputs, targets, reduction="sum"))
        self._named.append(outputs.argmax(dim=1))
        self._actual.append(targets)

    def metrics(self, prefix: str) -> dict[str, float]:
        """See `Scores`."""
        loss = sum(torch.stack(self._losses).tolist())
        named, actual = (torch.cat(parts).cpu().numpy() for parts in (self._named, self._actual))
        rows = len(actual)
        found_of, named_of, actual_of = (
            np.bincount(classes, minlength=self._classes) for classes in (actual[named == actual], named, actual)
        )
        known, seen = actual_of > 0, actual_of + named_of > 0
        values = (
            found_of.sum() / rows,
            (found_of[known] / actual_of[known]).mean(),
            (2 * found_of[seen] / (named_of[seen] + actual_of[seen])).mean(),
            loss / rows,
        )
        return {f"{prefix}_{name}": float(value) for name, value in zip(_OF_TASK["classification"], values, strict=True)}


class RegressionScores:
    """Root mean squared and mean absolute error in the target's own units, R², and the loss in standardised units.

    Args:
        target_scale: mean and deviation by which targets were standardised.
    """

    def __init__(self, target_scale: tuple[float, float]) -> None:
        _mean, self._deviation = target_scale
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """See `Scores`."""
        self._outputs.append(outputs.float().squeeze(1))
        self._targets.append(targets)

    def metrics(self, prefix: str) -> dict[str, float]:
        """See `Scores`."""
        outputs, targets = (torch.cat(parts).cpu().double().numpy() for parts in (self._outputs, self._targets))
        errors = outputs - targets
        squared_error = errors @ errors
        deviations = targets - targets.mean()
        variation = deviations @ deviations
        loss = squared_error / len(errors)
        values = (
            self._deviation * loss**0.5,
            self._deviation * np.abs(errors).mean(),
            # As scikit-learn has it for targets that are all the same.
            1 - squared_error / variation if variation > 0 else squared_error == 0,
            loss,
        )
        return {f"{prefix}_{name}": float(value) for name, value in zip(_OF_TASK["regression"], values, strict=True)}


def scores(problem: Problem, target_scale: tuple[float, float]) -> Scores:
    """What gathers the metrics of a problem."""
    return ClassScores(problem.outputs) if problem.task == "classification" else RegressionScores(target_scale)


@torch.inference_mode()
def answers(
    model: nn.Module,
    source: Source,
    *,
    batch_size: int,
    row_size: int = _ELEMENTS_AT_ONCE,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (rows, outputs) and targets (rows,) of all rows in their order, on the device, some batches at a time.

    The model stays in evaluation mode. `batch_size` is the training's, `row_size` the numbers
    of an input row: of small rows more are taken at once.
    """
    model.eval()
    size = max(_BATCHES_AT_ONCE * batch_size, _ELEMENTS_AT_ONCE // row_size)
    for inputs, targets in source.batches(None, size):
        with autocast():
            outputs = model(inputs)
        yield outputs, targets

"""The floor: the loops that one writes by hand for the same network, rows and optimiser, and nothing around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn, optim
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from tuning_trainer.data.problem import Problem
from tuning_trainer.data.sources import Batch

Batches = Iterable[tuple[Tensor, Tensor]]


def bare(model: nn.Module, optimizer: optim.Optimizer, problem: Problem, *, rows: tuple[Batch, Batch], batch_size: int) -> None:
    """One epoch over tensors in memory, and the loss and one metric of the validation rows."""
    (inputs, targets), validation = rows
    order = torch.randperm(len(targets))
    _epoch(model, optimizer, problem, ((inputs[part], targets[part]) for part in order.split(batch_size)))
    _validate(model, problem, [validation])


def data_loader(
    model: nn.Module, optimizer: optim.Optimizer, problem: Problem, *, rows: tuple[Batch, Batch], batch_size: int
) -> None:
    """The same with torch's DataLoader in this process, as most examples have it."""
    training, validation = (TensorDataset(*part) for part in rows)
    _epoch(model, optimizer, problem, DataLoader(training, batch_size=batch_size, shuffle=True))
    _validate(model, problem, DataLoader(validation, batch_size=4 * batch_size))


def _loss(problem: Problem) -> Callable[[Tensor, Tensor], Tensor]:
    if problem.task == "classification":
        return functional.cross_entropy
    return lambda outputs, targets: functional.mse_loss(outputs.squeeze(1), targets)


def _epoch(model: nn.Module, optimizer: optim.Optimizer, problem: Problem, batches: Batches) -> float:
    loss_of, total, rows = _loss(problem), torch.zeros(()), 0
    model.train()
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(targets)
        rows += len(targets)
    return total.item() / rows


@torch.no_grad()
def _validate(model: nn.Module, problem: Problem, batches: Batches) -> tuple[float, float]:
    loss_of, total, score, rows = _loss(problem), torch.zeros(()), torch.zeros(()), 0
    model.eval()
    for inputs, targets in batches:
        outputs = model(inputs)
        total += loss_of(outputs, targets) * len(targets)
        if problem.task == "classification":
            score += (outputs.argmax(dim=1) == targets).sum()
        else:
            score += (outputs.squeeze(1) - targets).abs().sum()
        rows += len(targets)
    return total.item() / rows, score.item() / rows

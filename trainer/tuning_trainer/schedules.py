"""Learning-rate schedules, by name, with a warm-up before any."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from torch import optim
from torch.optim import lr_scheduler

from tuning_client import ConfigurationError
from tuning_trainer.settings import Settings

_ONE_CYCLE_DIVISOR: Final = 25.0
"""one_cycle begins at this part of its highest rate, torch's and fastai's default."""

_PER_STEP: Final = (lr_scheduler.CosineAnnealingLR, lr_scheduler.OneCycleLR)


def build(settings: Settings, optimizer: optim.Optimizer, *, steps_per_epoch: int) -> Schedule:
    """The schedule that settings name; it has set the rate of the first step.

    Args:
        settings: `learning_rate` is the highest rate of every schedule; cosine and one_cycle are stretched over `epochs`. A
            final training that ends after fewer follows the same curve up to there.
        optimizer: whose rates it sets.
        steps_per_epoch: optimiser steps, at least 1.

    Raises:
        ConfigurationError: the warm-up is as long as the training.
    """
    total = settings.epochs * steps_per_epoch
    warmup = _warmup_steps(settings, steps_per_epoch)
    return Schedule(_decay(settings, optimizer, total - warmup), total=total, warmup=_warmup(optimizer, warmup))


class Schedule:
    """The learning rate of every step. The warm-up goes by steps, cosine and one_cycle too, the others by epochs.

    A decay begins where the warm-up ends: epochs are counted from the first that had a step after it.

    Args:
        decay: what sets the rate after the warm-up.
        total: steps after which the rate stays as it is.
        warmup: what raises the rate over its first `total_iters` steps.
    """

    def __init__(
        self,
        decay: lr_scheduler.LRScheduler,
        *,
        total: int,
        warmup: lr_scheduler.LinearLR | None = None,
    ) -> None:
        self._decay = decay
        self._warmup = warmup
        self._warmup_steps = warmup.total_iters if warmup else 0
        self._last_step = total - 1
        self._steps = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._decay.optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """Move on after a step of the optimiser."""
        if self._warmup and self._steps < self._warmup_steps:
            self._warmup.step()
        # Beyond its last step a cosine would rise again.
        elif isinstance(self._decay, _PER_STEP) and self._steps < self._last_step:
            self._decay.step()
        self._steps += 1

    def end_epoch(self, value_to_minimise: float) -> None:
        """Move on after an epoch; plateau decays when the value has not fallen for long."""
        if self._steps <= self._warmup_steps:
            return
        if isinstance(self._decay, lr_scheduler.ReduceLROnPlateau):
            self._decay.step(value_to_minimise)
        elif not isinstance(self._decay, (*_PER_STEP, lr_scheduler.ConstantLR)):
            self._decay.step()

    def state_dict(self) -> dict[str, Any]:
        """Where it is, as plain values. The rates themselves are in the optimiser's state."""
        return {
            "steps": self._steps,
            "decay": self._decay.state_dict(),
            "warmup": self._warmup.state_dict() if self._warmup else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, with an optimiser of that moment."""
        self._steps = state["steps"]
        self._decay.load_state_dict(dict(state["decay"]))
        if self._warmup:
            self._warmup.load_state_dict(dict(state["warmup"]))


def _warmup_steps(settings: Settings, steps_per_epoch: int) -> int:
    """At least one step is left after them; one_cycle has a warm-up of its own."""
    if settings.schedule == "one_cycle":
        return 0
    epochs = settings.epochs
    if settings.warmup_epochs >= epochs:
        raise ConfigurationError(
            f"warmup_epochs: {settings.warmup_epochs:g} leaves none of the {epochs} epochs; give fewer than {epochs}"
        )
    return min(round(settings.warmup_epochs * steps_per_epoch), epochs * steps_per_epoch - 1)


def _warmup(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LinearLR | None:
    """Equal rises from above 0, since a step of rate 0 would be lost, to the highest rate after `steps`."""
    if steps == 0:
        return None
    return lr_scheduler.LinearLR(optimizer, start_factor=1 / (steps + 1), end_factor=1.0, total_iters=steps)


def _decay(settings: Settings, optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    """What sets the rate once it has reached its highest; `steps` are left then."""
    lowest = settings.learning_rate * settings.final_share
    match settings.schedule:
        case "step":
            return lr_scheduler.StepLR(optimizer, step_size=settings.decay_epochs, gamma=settings.decay_factor)
        case "exponential":
            return lr_scheduler.ExponentialLR(optimizer, gamma=settings.decay_factor)
        case "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=lowest)
        case "plateau" if settings.decay_factor < 1:
            return lr_scheduler.ReduceLROnPlateau(
                optimizer,
                factor=settings.decay_factor,
                # torch decays after one epoch more than its patience.
                patience=settings.decay_epochs - 1,
                # Absolute: a share of a negative value, such as an accuracy turned round, would point the wrong way.
                threshold=settings.min_delta,
                threshold_mode="abs",
                min_lr=lowest,
                # torch takes no decay smaller than this, and 1e-8 is much to a small rate.
                eps=0.0,
            )
        # torch refuses a plateau with a factor of 1, which leaves the rate as it is.
        case "constant" | "plateau":
            return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)
        case "one_cycle":
            return _one_cycle(settings, optimizer, steps)


def _one_cycle(settings: Settings, optimizer: optim.Optimizer, steps: int) -> lr_scheduler.OneCycleLR:
    """Smith and Topin 2018, arXiv 1708.07120: up for 30 % of the steps, then down. The momentum stays as it was set."""
    divisor = 1 / (_ONE_CYCLE_DIVISOR * settings.final_share) if settings.final_share else math.inf
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=steps,
        cycle_momentum=False,
        div_factor=_ONE_CYCLE_DIVISOR,
        final_div_factor=divisor,
    )

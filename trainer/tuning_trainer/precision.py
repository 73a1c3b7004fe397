"""The arithmetic of a training: 32 bits, or 16 where that is enough (Micikevicius et al. 2018, arXiv 1710.03740)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, optim

from tuning_client import ConfigurationError
from tuning_trainer.settings import Settings


class Precision:
    """What a step does differently in 16 bits. Weights and the optimiser's state stay float32.

    The gradients of float16 are scaled up, lest small ones become 0. So the order of a step is: `autocast` around the
    forward pass, `backward`, `unscale`, whatever reads or clips gradients, `step`. With float32 and bfloat16 nothing is
    scaled, and the same order does the plain thing.

    Raises:
        ConfigurationError: float16 on a CPU.
    """

    def __init__(self, settings: Settings, device: torch.device) -> None:
        if settings.precision == "float16" and device.type == "cpu":
            raise ConfigurationError(
                "precision: 'float16' needs a GPU and this training runs on the CPU; give bfloat16, or float32"
            )
        self._device = device
        self._type = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[settings.precision]
        self._scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")

    def autocast(self) -> AbstractContextManager[Any]:
        """Around a forward pass: operations that bear it run in 16 bits."""
        if self._type is None:
            return nullcontext()
        return torch.autocast(self._device.type, self._type)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients, scaled, to those of the weights."""
        self._scaler.scale(loss).backward()

    def unscale(self, optimizer: optim.Optimizer) -> None:
        """Give the gradients their true size; once before each step."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: optim.Optimizer) -> bool:
        """Step, unless a scaled gradient was beyond the largest float16: then False, and the next scale is smaller."""
        if not self._scaler.is_enabled():
            optimizer.step()
            return True
        scale = self._scaler.get_scale()
        self._scaler.step(optimizer)
        self._scaler.update()
        return self._scaler.get_scale() >= scale

    def state_dict(self) -> dict[str, Any]:
        """The scale and how long it has held; nothing without float16."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._scaler.load_state_dict(dict(state))

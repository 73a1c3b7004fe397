"""A network whose operations are fused by torch.compile."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tuning_client import ConfigurationError


def compile_in_place(model: nn.Module, device: torch.device) -> None:
    """Let torch compile the model's forward and backward pass at its first batch; the names of its weights stay.

    A last batch of fewer rows is compiled once more, then for any number of rows.

    Raises:
        ConfigurationError: there is no compiler for the device, or nowhere to put what it makes.
    """
    try:
        torch.compile(_smallest)(torch.zeros(2, device=device))
    except (RuntimeError, OSError) as error:
        # The first line may say no more than which part of torch it was.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if not line.endswith("raised:")), type(error).__name__).rstrip(".")
        raise ConfigurationError(
            f"compile: 'on' needs a C++ compiler and a folder to write to, and torch says {reason}; give compile: off"
        ) from error
    model.compile()


def _smallest(numbers: Tensor) -> Tensor:
    return numbers * 2 + 1

"""The machine that a training runs on: its threads, its device, and what the GPU's driver says of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

import torch

from tuning_client import ConfigurationError
from tuning_trainer.settings import Settings

_CUBLAS_WORKSPACE: Final = ":4096:8"
"""One of the two sizes of workspace with which cuBLAS repeats bit for bit (cuBLAS, "Results reproducibility")."""

_SECONDS_BETWEEN_READINGS: Final = 1.0
"""The driver's utilisation is that of the last sixth of a second to second."""


def prepare(settings: Settings) -> torch.device:
    """Set threads and determinism of the process, and choose the device.

    Raises:
        ConfigurationError: the device that the settings name is not there.
    """
    deterministic = settings.deterministic == "on"
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = _CUBLAS_WORKSPACE  # read when CUDA starts, later in this process
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(deterministic)
    # Every batch but an epoch's last has the same shape, so that trying cuDNN's algorithms once pays off.
    torch.backends.cudnn.benchmark = not deterministic
    return _device(settings)


def _device(settings: Settings) -> torch.device:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(
            "--device: 'cuda' was asked for, but torch finds no GPU; ask for trial.gpus: 1 or give --device=auto"
        )
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


class Gauge:
    """Figures of the GPU that a training runs on; none on a CPU.

    Args:
        device: of the training.
        clock: in seconds.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.monotonic) -> None:
        self._device = device
        self._clock = clock
        self._read_at = float("-inf")
        self._figures: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """The figures, at most a second old, with names that say what they are.

        ``gpu_memory_bytes`` is what the driver counts as used on the whole GPU, ``gpu_utilization`` the share of the last
        moments in which it computed (0 to 1), ``gpu_peak_bytes`` the most that this process's tensors ever had. Where the
        driver does not tell, as for a slice of a GPU (MIG), a figure is left out.
        """
        if self._device.type != "cuda" or self._clock() - self._read_at < _SECONDS_BETWEEN_READINGS:
            return self._figures
        self._read_at = self._clock()
        self._figures = {"gpu_peak_bytes": float(torch.cuda.max_memory_allocated(self._device))}
        for name, ask, unit in (
            ("gpu_memory_bytes", torch.cuda.device_memory_used, 1.0),
            ("gpu_utilization", torch.cuda.utilization, 0.01),
        ):
            value = _told(ask, self._device)
            if value is not None:
                self._figures[name] = value * unit
        return self._figures


def _told(ask: Callable[[torch.device], int], device: torch.device) -> int | None:
    # NVML's errors derive from Exception alone; without its library or a driver torch raises other ones.
    try:
        return ask(device)
    except Exception:  # noqa: BLE001 - a figure for people must not end a training
        return None

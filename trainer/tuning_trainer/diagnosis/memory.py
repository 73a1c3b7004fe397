"""Out of memory, told from other errors of torch."""

from __future__ import annotations

import re
from typing import Final

import torch

from tuning_client import Diagnosis
from tuning_trainer.diagnosis.course import named
from tuning_trainer.settings import Settings

# What torch and its allocators say where they raise no error of a type of its own.
_ON_CPU: Final = re.compile(r"can't allocate memory|not enough memory|Storage size calculation overflowed|DefaultCPUAllocator")
_ASKED: Final = re.compile(r"tried to allocate ([0-9.]+) ?(bytes|[KMGT]iB)", re.IGNORECASE)
_BYTES: Final = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def out_of_memory(error: BaseException, settings: Settings) -> Diagnosis | None:
    """The diagnosis of a training that ended with this error; None when it was not for want of memory.

    The figure is what could not be had, in GiB, where torch said it.
    """
    if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not (
        isinstance(error, RuntimeError) and _ON_CPU.search(str(error))
    ):
        return None
    asked = _gibibytes(str(error))
    what = "The memory was not enough" if asked is None else f"Another {asked:.3g} GiB of memory could not be had"
    sentence = (
        f"{what}: lower batch_size from {settings.batch_size} to {max(1, settings.batch_size // 2)}, with accumulation"
        f" {2 * settings.accumulation} for the same steps, or hidden_units from {settings.hidden_units}, or layers."
    )
    return named("out-of-memory", sentence, asked, threshold=None)


def _gibibytes(message: str) -> float | None:
    found = _ASKED.search(message)
    return float(found[1]) * _BYTES[found[2].lower()] / 2**30 if found else None

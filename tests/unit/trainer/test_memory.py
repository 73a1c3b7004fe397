"""Exhausted memory is told from other errors, and ends a trial with a result that is not tried again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.support.trainings import TrialFolder

from tuning_trainer import memory

CPU = "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes."
GPU = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB"

# Where memory is promised before it is there, less than this would be granted, and the process killed on using it.
WIDER_THAN_ADDRESSES = 10**13

EXHAUSTED = {
    "on a GPU": (torch.OutOfMemoryError(GPU), 20.0),
    "on a CPU": (RuntimeError(CPU), 4.0),
    "in NumPy": (MemoryError(), None),
    "in a library of CUDA": (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), None),
}


@pytest.mark.parametrize(("error", "gibibytes"), EXHAUSTED.values(), ids=EXHAUSTED.keys())
def test_exhausted_memory_is_recognised_with_what_was_asked_for(error: Exception, gibibytes: float | None) -> None:
    assert memory.is_exhausted(error)
    assert memory.diagnosis(str(error)).figure == gibibytes


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("a memory of that")])
def test_other_errors_are_not_for_want_of_memory(error: Exception) -> None:
    assert not memory.is_exhausted(error)


def test_a_network_that_fits_into_no_memory_ends_the_trial_with_its_diagnosis(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    assert folder.attempt(f"--hidden-units={WIDER_THAN_ADDRESSES}", "--progress=none") == 0
    result = folder.result()
    assert result["val_accuracy"] == "nan"
    assert [diagnosis["name"] for diagnosis in result["diagnoses"]] == ["out-of-memory"]
    assert result["diagnoses"][0]["figure"] == pytest.approx(64 * 4 * WIDER_THAN_ADDRESSES / 2**30)

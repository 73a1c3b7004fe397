"""The machine is set up as the settings say, and a driver that is silent ends nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
import torch

from tuning_trainer import machine, memory
from tuning_trainer.settings import Settings

GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    machine.prepare(Settings(device="cpu"))


def test_threads_and_determinism_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert machine.prepare(Settings(device="cpu", deterministic="on", threads=2)) == torch.device("cpu")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert torch.get_num_threads() == 2
    machine.prepare(Settings(device="cpu"))
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == 1


def test_a_cpu_has_no_figures() -> None:
    assert machine.Gauge(torch.device("cpu")).read() == {}


def test_a_gpus_figures_are_bytes_and_shares_and_at_most_a_second_old() -> None:
    now = 0.0
    with (
        mock.patch.object(torch.cuda, "max_memory_allocated", return_value=5_000),
        mock.patch.object(torch.cuda, "device_memory_used", return_value=9_000),
        mock.patch.object(torch.cuda, "utilization", return_value=87) as utilization,
    ):
        gauge = machine.Gauge(GPU, lambda: now)
        assert gauge.read() == {"gpu_peak_bytes": 5_000, "gpu_memory_bytes": 9_000, "gpu_utilization": pytest.approx(0.87)}
        now = 0.9
        gauge.read()
        assert utilization.call_count == 1
        now = 1.0
        gauge.read()
        assert utilization.call_count == 2


def test_a_figure_that_the_driver_does_not_tell_is_left_out() -> None:
    with (
        mock.patch.object(torch.cuda, "max_memory_allocated", return_value=5_000),
        mock.patch.object(torch.cuda, "device_memory_used", side_effect=ModuleNotFoundError("nvidia-ml-py")),
        mock.patch.object(torch.cuda, "utilization", side_effect=Exception("Not Supported")),
    ):
        assert machine.Gauge(GPU).read() == {"gpu_peak_bytes": 5_000}


EXHAUSTED: dict[str, BaseException] = {
    "a GPU's": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "a GPU's, said by the driver": RuntimeError("CUDA error: out of memory"),
    "a GPU's, said by cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "NumPy's": MemoryError("Unable to allocate 8.00 EiB for an array"),
}


@pytest.mark.parametrize("error", EXHAUSTED.values(), ids=EXHAUSTED)
def test_an_exhausted_memory_is_known(error: BaseException) -> None:
    assert memory.is_exhausted(error)


@pytest.mark.parametrize("elements", [10**17, 10**30], ids=["more than there is", "more than can be counted"])
def test_an_exhausted_memory_of_the_cpu_is_known_by_what_torch_says(elements: int) -> None:
    with pytest.raises((RuntimeError, TypeError)) as refused:
        torch.empty(elements)
    assert memory.is_exhausted(refused.value) is (elements == 10**17)

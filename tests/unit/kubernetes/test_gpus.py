"""GPUs that a template asks for."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tuning_operator.api.problems import ManifestError
from tuning_operator.runtime.kubernetes.gpus import gpus_of

NVIDIA: Final = "nvidia.com/gpu"


def holding(name: str, count: Any, **rest: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"limits": {name: count}}, **rest}


def sidecar(name: str, count: Any) -> dict[str, Any]:
    return holding(name, count, restartPolicy="Always")


@pytest.mark.parametrize(
    ("containers", "init", "gpus"),
    [
        ([{"name": "c"}], [], 0),
        ([holding("cpu", "4")], [], 0),
        ([holding(NVIDIA, 2)], [], 2),
        ([holding(NVIDIA, "2")], [], 2),
        ([{"name": "c", "resources": {"requests": {NVIDIA: 1}}}], [], 1),
        ([{"name": "c", "resources": {"requests": {NVIDIA: 1}, "limits": {NVIDIA: 1}}}], [], 1),
        ([holding("amd.com/gpu", 1)], [], 1),
        ([holding("gpu.intel.com/i915", 1)], [], 1),
        ([holding("gpu.intel.com/memory.max", 4096)], [], 0),
        ([holding("nvidia.com/mig-1g.5gb", 3)], [], 3),
        ([holding(NVIDIA, 1), holding(NVIDIA, 2)], [], 3),
        ([holding(NVIDIA, 1), holding("amd.com/gpu", 1)], [], 2),
        ([holding(NVIDIA, 1)], [holding(NVIDIA, 4)], 4),
        ([holding(NVIDIA, 4)], [holding(NVIDIA, 1)], 4),
        ([holding(NVIDIA, 1)], [sidecar(NVIDIA, 1)], 2),
        ([holding(NVIDIA, 1)], [sidecar(NVIDIA, 1), holding(NVIDIA, 2)], 3),
        ([holding(NVIDIA, 1)], [holding(NVIDIA, 2), sidecar(NVIDIA, 1)], 2),
        ([holding(NVIDIA, 2)], [holding("amd.com/gpu", 1)], 3),
    ],
    ids=[
        "none",
        "CPUs are none",
        "a number",
        "a number as text",
        "as a request",
        "a request and its limit are the same GPUs",
        "of AMD",
        "of Intel",
        "memory of a GPU is none",
        "slices count one each",
        "containers run together",
        "of several vendors",
        "an init container alone may hold more",
        "or less",
        "a sidecar runs beside the trial",
        "and beside the init containers after it",
        "but not beside those before it",
        "resources have their peaks apart",
    ],
)
def test_gpus_are_counted_as_the_scheduler_does(containers: list[Any], init: list[Any], gpus: int) -> None:
    assert gpus_of({"spec": {"containers": containers, "initContainers": init}}) == gpus


def test_a_number_of_gpus_that_is_none_is_refused_with_its_place() -> None:
    with pytest.raises(ManifestError, match=r"container c: resources.limits\[nvidia.com/gpu\]: 'all' is not a whole number"):
        gpus_of({"spec": {"containers": [holding(NVIDIA, "all")]}})

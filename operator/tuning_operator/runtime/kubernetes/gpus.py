"""GPUs that a Pod template asks for, of any vendor. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tuning_operator.api.problems import ManifestError, Problem

NVIDIA_GPU: Final = "nvidia.com/gpu"

_GPU: Final = re.compile(
    r"nvidia\.com/gpu(\.shared)?"
    r"|nvidia\.com/mig-.+"  # a slice counts as one
    r"|amd\.com/gpu"
    r"|gpu\.intel\.com/(i915|xe)"  # the other names there are memory, tiles and thousandths of the same GPU
    r"|habana\.ai/gaudi"
)


def gpus_of(template: Mapping[str, Any]) -> int:
    """How many GPUs a Pod of the template holds.

    As the scheduler counts (KEP-753): containers and sidecars run together; an init container runs alone but for the
    sidecars that stand before it; the larger of the two counts.

    Raises:
        ManifestError: a number of GPUs is not a whole number.
    """
    spec = template.get("spec") or {}
    together: Counter[str] = Counter()
    for container in spec.get("containers") or ():
        together.update(dict(_requested(container)))
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in spec.get("initContainers") or ():
        requested = Counter(dict(_requested(container)))
        # Union keeps the larger count of each resource.
        peak |= requested + sidecars
        if container.get("restartPolicy") == "Always":
            sidecars += requested
    return (peak | (together + sidecars)).total()


def _requested(container: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    resources = container.get("resources") or {}
    # What cannot be overcommitted may be written in either place, the limit being the one that must be there.
    stated = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    for name, quantity in stated.items():
        if _GPU.fullmatch(name):
            yield name, _whole(name, quantity, container)


def _whole(name: str, quantity: object, container: Mapping[str, Any]) -> int:
    text = str(quantity)
    if text.isascii() and text.isdecimal():
        return int(text)
    field = f"spec.trial.template: container {container.get('name')}: resources.limits[{name}]"
    raise ManifestError([Problem(field, f"{text!r} is not a whole number; write it like 1")])

"""Where batches come from: rows that lie on the device, or rows that processes read one batch after another."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

RESIDENT_SHARE: Final = 0.25
"""Rows stay on the device up to this share of its memory."""

_ELEMENTS_TOGETHER: Final = 2**20
"""Numbers that are copied at once when small batches are taken from rows on the device: 4 MiB."""

_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
_FLOAT32_BYTES: Final = 4

Numbers = list[int] | slice
"""Which rows: their numbers, or a stretch of them."""


class Batch(NamedTuple):
    """Rows on one device: inputs (rows, *input_shape) float32; targets (rows,), int64 classes or float32 standardised."""

    inputs: Tensor
    targets: Tensor


class Source(Protocol):
    """Prepared rows, in whatever order the caller wants them."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def batches(self, order: Tensor | None, size: int) -> Iterator[Batch]:
        """Batches of `size` rows on the device; the last one may be smaller.

        Args:
            order: numbers of the rows, int64, on the CPU or the device; None: all rows, as they lie.
            size: rows of a batch.
        """
        ...


@dataclass(frozen=True)
class PreparedRows(Dataset[Batch]):
    """Rows that can be had by number, from the host's memory or from files.

    Args:
        inputs: gives prepared rows by their numbers, (rows, *input_shape) float32 on the CPU.
        targets: of all rows, (rows,), on the CPU.
        input_shape: one row.
    """

    inputs: Callable[[Numbers], Tensor]
    targets: Tensor
    input_shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, numbers: Numbers) -> Batch:
        return Batch(self.inputs(numbers), self.targets[numbers])

    @property
    def size(self) -> int:
        """Bytes of all prepared inputs."""
        return len(self) * math.prod(self.input_shape) * _FLOAT32_BYTES


class Resident:
    """Rows that lie on the device: a batch is an index into them, and no process is in between."""

    def __init__(self, rows: Batch) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows.targets)

    def batches(self, order: Tensor | None, size: int) -> Iterator[Batch]:
        """See `Source`."""
        if order is None:
            yield from _split(self.rows, size)
            return
        inputs, targets = self.rows
        # Many small batches are copied in one operation, whose cost is that of its call, and handed out as views.
        together = size * max(1, _ELEMENTS_TOGETHER // (size * math.prod(inputs.shape[1:])))
        for numbers in order.to(targets.device).split(together) if len(order) else ():
            yield from _split(Batch(inputs[numbers], targets[numbers]), size)


class Workers:
    """Rows that processes read and prepare while the device computes."""

    def __init__(self, rows: PreparedRows, device: torch.device, *, workers: int) -> None:
        self._rows = rows
        self._device = device
        self._workers = workers

    def __len__(self) -> int:
        return len(self._rows)

    def batches(self, order: Tensor | None, size: int) -> Iterator[Batch]:
        """See `Source`."""
        numbers = torch.arange(len(self)) if order is None else order.cpu()
        loader: DataLoader[Batch] = DataLoader(
            self._rows,
            # The order is the caller's, batch by batch: the loader neither draws nor collates.
            sampler=[numbers[part].tolist() for part in _parts(len(numbers), size)],
            batch_size=None,
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            # A loader draws a number for its workers even when nothing is random. Drawn from torch's own generator,
            # a resumed training, which makes one loader more, would go on with other random numbers.
            generator=torch.Generator(),
        )
        for inputs, targets in loader:
            yield Batch(inputs.to(self._device, non_blocking=True), targets.to(self._device, non_blocking=True))


def open_source(
    rows: PreparedRows, device: torch.device, *, loading: Literal["auto", "resident", "workers"], workers: int
) -> Source:
    """The rows on the device, or a reader of them where they would fill more than a quarter of its memory."""
    if loading == "auto":
        loading = "resident" if rows.size <= RESIDENT_SHARE * _memory(device) else "workers"
    if loading == "workers":
        return Workers(rows, device, workers=workers)
    inputs, targets = rows[:]
    return Resident(Batch(inputs.to(device), targets.to(device)))


def _split(rows: Batch, size: int) -> Iterator[Batch]:
    return map(Batch, rows.inputs.split(size), rows.targets.split(size))


def _parts(rows: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, rows, size)]


def _memory(device: torch.device) -> int:
    """Bytes of the device's memory; of the host's, what this container may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.exists() else "max"
    return physical if limit == "max" else min(physical, int(limit))

"""Rows as they were read, with what is to be predicted; nothing is fitted yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from tuning_client import ConfigurationError
from tuning_trainer.data.columns import Kind, TableEncoder
from tuning_trainer.data.pixels import ImageEncoder
from tuning_trainer.data.preparation import Preparation
from tuning_trainer.data.scaling import Method, Scaling
from tuning_trainer.data.sources import Numbers, PreparedRows

Targets = npt.NDArray[np.int64] | npt.NDArray[np.float64]
RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """The largest and the smallest feature, each by the name and the largest absolute value of its column."""

    largest: tuple[str, float]
    smallest: tuple[str, float]

    @property
    def ratio(self) -> float:
        """How many times the one is larger than the other."""
        return self.largest[1] / self.smallest[1]


class Rows(Protocol):
    """Raw rows of a table or a folder of images."""

    @property
    def targets(self) -> Targets:
        """(rows,): numbers of classes, or what a regression predicts in its own units."""
        ...

    @property
    def groups(self) -> npt.NDArray[np.int64] | None:
        """(rows,): which group each belongs to, where a column says so."""
        ...

    def take(self, numbers: RowNumbers) -> Self:
        """The rows of these numbers, in this order."""
        ...

    def fit(self, scaling: Method) -> Preparation:
        """The preparation that these rows need."""
        ...

    def prepared(self, preparation: Preparation, targets: Tensor) -> PreparedRows:
        """These rows as a network's inputs, with targets (rows,) that are ready for its loss."""
        ...

    def spread(self) -> Spread | None:
        """How much the features differ in scale; none where that has no meaning."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 over the raw rows and their targets, in order: equal for equal rows, whatever is fitted to them."""
        ...


@dataclass(frozen=True)
class TableRows:
    """Rows of a table: its feature columns and what kind each is."""

    features: pd.DataFrame
    kinds: Mapping[str, Kind]
    targets: Targets
    groups: npt.NDArray[np.int64] | None
    impute: bool

    def take(self, numbers: RowNumbers) -> Self:
        """See `Rows`."""
        groups = None if self.groups is None else self.groups[numbers]
        return replace(self, features=self.features.iloc[numbers], targets=self.targets[numbers], groups=groups)

    def fit(self, scaling: Method) -> Preparation:
        """See `Rows`. Categories stay 0 and 1.

        Raises:
            ConfigurationError: a column holds numbers too large to be scaled.
        """
        encoder = TableEncoder.fitted(self.features, self.kinds, impute=self.impute)
        encoded = encoder.encode(self.features)
        offset, scale = np.zeros(encoder.shape), np.ones(encoder.shape)
        if encoder.scaled.any():
            with np.errstate(all="ignore"):
                fitted = Scaling.fitted(encoded[:, encoder.scaled], scaling)
            offset[encoder.scaled], scale[encoder.scaled] = fitted.offset, fitted.scale
        self._refuse_large(encoder, np.isfinite(offset) & np.isfinite(scale))
        return Preparation(encoder, Scaling(offset, scale))

    def prepared(self, preparation: Preparation, targets: Tensor) -> PreparedRows:
        """See `Rows`.

        Raises:
            ConfigurationError: a column holds numbers that are too large once they are prepared.
        """
        assert isinstance(preparation.encoder, TableEncoder), "it was fitted to rows of a table"
        with np.errstate(over="ignore"):
            inputs = preparation.apply(self.features)
        self._refuse_large(preparation.encoder, np.all(np.isfinite(inputs), axis=0))
        return PreparedRows(torch.from_numpy(inputs).__getitem__, targets, preparation.input_shape)

    def _refuse_large(self, encoder: TableEncoder, usable: npt.NDArray[np.bool_]) -> None:
        """Refuse the first of the features that is not usable."""
        if usable.all():
            return
        place = int(usable.argmin())
        name, largest = encoder.names[place], np.abs(encoder.encode(self.features)[:, place]).max()
        raise ConfigurationError(
            f"column '{name}' holds numbers as large as {largest:.4g}, too large to be learnt from; "
            f"correct them, take their logarithms, or leave the column out with --ignore={name}"
        )

    def spread(self) -> Spread | None:
        """See `Rows`; a category counts as 1, a column of zeros not at all."""
        encoder = TableEncoder.fitted(self.features, self.kinds, impute=self.impute)
        sizes = np.abs(encoder.encode(self.features)).max(axis=0)
        sized = sorted((size, name) for name, size in zip(encoder.names, sizes.tolist(), strict=True) if size > 0)
        if not sized:
            return None
        (least, smallest), (most, largest) = sized[0], sized[-1]
        return Spread((largest, most), (smallest, least))

    def fingerprint(self) -> str:
        """See `Rows`."""
        digest = hashlib.sha256(self.targets.tobytes())
        digest.update(pd.util.hash_pandas_object(self.features, index=False).to_numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class ImageRows:
    """Image files with a class each."""

    paths: Sequence[Path]
    encoder: ImageEncoder
    targets: Targets
    groups: None = None

    def take(self, numbers: RowNumbers) -> Self:
        """See `Rows`."""
        return replace(self, paths=[self.paths[number] for number in numbers], targets=self.targets[numbers])

    def fit(self, scaling: Method) -> Preparation:
        """See `Rows`: one offset and one scale per channel, from the counts of each of the 256 levels."""
        counts = np.zeros((len(self.encoder.mode), 256), np.int64)
        for path in self.paths if scaling != "none" else ():
            pixels = self.encoder.pixels([path])[0]
            counts += [np.bincount(channel.ravel(), minlength=256) for channel in pixels]
        fitted = Scaling.of_levels(counts, scaling)
        return Preparation(self.encoder, fitted)

    def prepared(self, preparation: Preparation, targets: Tensor) -> PreparedRows:
        """See `Rows`; read from the files each time that they are asked for."""
        return PreparedRows(partial(_prepared_images, self.paths, preparation), targets, preparation.input_shape)

    def spread(self) -> Spread | None:
        """See `Rows`; pixels all have one scale."""
        return None

    def fingerprint(self) -> str:
        """See `Rows`; of the files' own bytes."""
        digest = hashlib.sha256(self.targets.tobytes())
        for path in self.paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def _prepared_images(paths: Sequence[Path], preparation: Preparation, numbers: Numbers) -> Tensor:
    wanted = paths[numbers] if isinstance(numbers, slice) else [paths[number] for number in numbers]
    return torch.from_numpy(preparation.apply(wanted))

"""From raw rows to a network's inputs, fitted on training rows and kept with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from tuning_trainer.data.columns import TableEncoder
from tuning_trainer.data.pixels import ImageEncoder
from tuning_trainer.data.scaling import Scaling


class Encoder(Protocol):
    """Raw rows as numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        ...

    def encode(self, raw: Any) -> npt.NDArray[np.float64]:
        """(rows, *shape)."""
        ...

    def state(self) -> dict[str, Any]:
        """As plain values."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state` was taken of."""
        ...


_ENCODERS: Final[Mapping[str, type[Encoder]]] = {"table": TableEncoder, "images": ImageEncoder}


@dataclass(frozen=True)
class Preparation:
    """Encoding, then scaling."""

    encoder: Encoder
    scaling: Scaling

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one prepared row."""
        return self.encoder.shape

    def apply(self, raw: Any) -> npt.NDArray[np.float32]:
        """Prepared rows (rows, *input_shape).

        Args:
            raw: a table with the columns of the training rows, or an array of them in their order; for images their
                paths, opened images, or arrays (height, width) or (height, width, 3) of bytes.

        Raises:
            ConfigurationError: a column is missing, or holds what the training rows' did not.
        """
        return self.scaling.apply(self.encoder.encode(raw))

    def state(self) -> dict[str, Any]:
        """As plain values and two arrays, `offset` and `scale`."""
        kind = next(kind for kind, encoder in _ENCODERS.items() if isinstance(self.encoder, encoder))
        return {"kind": kind, **self.encoder.state(), "offset": self.scaling.offset, "scale": self.scaling.scale}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state` was taken of."""
        scaling = Scaling(np.asarray(state["offset"], np.float64), np.asarray(state["scale"], np.float64))
        return cls(_ENCODERS[state["kind"]].from_state(state), scaling)

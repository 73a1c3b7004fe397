"""Features are brought to one scale, by what the training rows alone show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

Numbers = npt.NDArray[np.float64]
Method = Literal["standard", "minmax", "robust", "none"]


@dataclass(frozen=True)
class Scaling:
    """(x - offset) / scale; both broadcast against one row."""

    offset: Numbers
    scale: Numbers

    @classmethod
    def fitted(cls, rows: Numbers, method: Method) -> Self:
        """Fitted by scikit-learn on rows (rows, features); a feature without any spread is only moved."""
        match method:
            case "standard":
                standard = StandardScaler().fit(rows)
                return cls(standard.mean_, standard.scale_)
            case "minmax":
                minmax = MinMaxScaler().fit(rows)
                return cls(minmax.data_min_, 1 / minmax.scale_)
            case "robust":
                robust = RobustScaler().fit(rows)
                return cls(robust.center_, robust.scale_)
            case "none":
                return cls(np.zeros(rows.shape[1]), np.ones(rows.shape[1]))

    @classmethod
    def of_levels(cls, counts: npt.NDArray[np.int64], method: Method) -> Self:
        """The same for images: one offset and scale per channel, from how often each level occurs (channels, levels).

        Shapes (channels, 1, 1). Pixels are too many to be fitted at once.
        """
        channels, levels = counts.shape
        if method == "none":
            return cls(np.zeros((channels, 1, 1)), np.ones((channels, 1, 1)))
        fitted = [cls._of_channel(np.arange(levels, dtype=np.float64), channel, method) for channel in counts]
        offsets, scales = np.array(fitted).T
        return cls(offsets[:, np.newaxis, np.newaxis], scales[:, np.newaxis, np.newaxis])

    @staticmethod
    def _of_channel(levels: Numbers, counts: npt.NDArray[np.int64], method: Method) -> tuple[float, float]:
        if method == "standard":
            scaler = StandardScaler().fit(levels[:, np.newaxis], sample_weight=counts)
            return scaler.mean_.item(), scaler.scale_.item()
        shares = (0.25, 0.5, 0.75) if method == "robust" else (0.0, 0.0, 1.0)
        low, offset, high = np.quantile(levels, shares, weights=counts, method="inverted_cdf")
        return float(offset), float(high - low) or 1.0

    def apply(self, rows: Numbers) -> npt.NDArray[np.float32]:
        """Scaled in double precision: large numbers that differ little keep their difference."""
        return ((rows - self.offset) / self.scale).astype(np.float32)

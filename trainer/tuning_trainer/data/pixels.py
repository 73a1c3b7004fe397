"""Images of any size become pixels of one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from tuning_client import ConfigurationError

# Pillow would cut off whatever is above 255.
_DEEP_MODES: Final = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

Picture = str | Path | Image.Image | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImageEncoder:
    """Pixels from 0 to 255 of images that are brought to one size and one number of channels.

    Args:
        mode: "L" (grey, one channel) or "RGB".
        size: of a side.
    """

    mode: Literal["L", "RGB"]
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return (len(self.mode), self.size, self.size)

    def encode(self, pictures: Sequence[Picture]) -> npt.NDArray[np.float64]:
        """(images, channels, height, width).

        Raises:
            ConfigurationError: a file is no image.
        """
        return self.pixels(pictures).astype(np.float64)

    def pixels(self, pictures: Sequence[Picture]) -> npt.NDArray[np.uint8]:
        """(images, channels, height, width), as bytes."""
        return np.stack([self._pixels(picture) for picture in pictures])

    def _pixels(self, picture: Picture) -> npt.NDArray[np.uint8]:
        with opened(picture) as image:
            if image.mode in _DEEP_MODES:
                raise ConfigurationError(f"image {picture} has more than 8 bits per channel; save it with 8")
            try:
                upright = ImageOps.exif_transpose(image).convert(self.mode)
            except OSError as error:
                raise ConfigurationError(f"image {picture} cannot be read ({error}); replace or remove it") from None
        rows = np.asarray(upright.resize((self.size, self.size), Image.Resampling.BILINEAR))
        return rows.reshape(self.size, self.size, len(self.mode)).transpose(2, 0, 1)

    def state(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state` was taken of."""
        return cls(state["mode"], state["size"])


def opened(picture: Picture) -> Image.Image:
    """The image, its pixels not yet read.

    Raises:
        ConfigurationError: the file is no image.
    """
    if isinstance(picture, Image.Image):
        return picture.copy()
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture)
    try:
        return Image.open(picture)
    except (UnidentifiedImageError, OSError):
        raise ConfigurationError(f"image {picture} cannot be read; replace or remove it") from None
    except Image.DecompressionBombError:
        raise ConfigurationError(
            f"image {picture} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels; make it smaller or remove it"
        ) from None

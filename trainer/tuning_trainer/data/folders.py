"""Folders of images, one folder per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from tuning_client import ConfigurationError
from tuning_trainer.data.pixels import ImageEncoder, opened
from tuning_trainer.data.preparation import Preparation
from tuning_trainer.data.rows import ImageRows
from tuning_trainer.data.targets import Target
from tuning_trainer.settings import Settings

_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
_GREY_MODES: Final = frozenset({"1", "L", "LA"})
_LEAST_CLASSES: Final = 2


def search_rows(path: Path, settings: Settings) -> tuple[ImageRows, Target]:
    """The images that a search may see; grey if all of them are.

    Raises:
        ConfigurationError: a folder is empty, or a file is no image.
    """
    if settings.task == "regression":
        raise ConfigurationError("--task: 'regression' has no target in folders of images; give --task=classification")
    classes = _classes("--path", path)
    if len(classes) < _LEAST_CLASSES:
        raise ConfigurationError(f"--path: '{path}' has {len(classes)} folders of images; give one folder for each class")
    target = Target("classification", tuple(classes))
    images = [image for found in classes.values() for image in found]
    encoder = ImageEncoder(_mode(images), settings.image_size)
    return _rows("--path", classes, encoder, target), target


def test_rows(path: Path, preparation: Preparation, target: Target) -> ImageRows:
    """The test images, of the same classes.

    Raises:
        ConfigurationError: there is a class that could not be learnt, or a folder is empty.
    """
    assert isinstance(preparation.encoder, ImageEncoder), "images were learnt from"
    return _rows("--test-path", _classes("--test-path", path), preparation.encoder, target)


def _classes(flag: str, path: Path) -> dict[str, list[Path]]:
    if not path.is_dir():
        raise ConfigurationError(f"{flag}: '{path}' is no folder; give one that holds a folder of images for each class")
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    classes = {folder.name: _images(folder) for folder in folders}
    for name, images in classes.items():
        if not images:
            raise ConfigurationError(f"{flag}: folder '{name}' holds no image; add some or remove the folder")
    return classes


def _images(folder: Path) -> list[Path]:
    """The images in a folder and in those below it, but for hidden ones: copies and previews that other programs keep."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in _SUFFIXES and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _rows(flag: str, classes: dict[str, list[Path]], encoder: ImageEncoder, target: Target) -> ImageRows:
    for name in classes:
        if name not in target.class_names:
            raise ConfigurationError(f"{flag}: folder '{name}' is no class of those that are learnt; rename or remove it")
    images = [image for found in classes.values() for image in found]
    counts = [len(found) for found in classes.values()]
    codes = np.repeat([target.class_names.index(name) for name in classes], counts).astype(np.int64)
    return ImageRows(images, encoder, codes)


def _mode(images: Sequence[Path]) -> Literal["L", "RGB"]:
    modes = set()
    # Each file is looked at, so that one that is no image is told of now, not in the middle of a training.
    for image in images:
        with opened(image) as picture:
            modes.add(picture.mode)
    return "L" if modes <= _GREY_MODES else "RGB"

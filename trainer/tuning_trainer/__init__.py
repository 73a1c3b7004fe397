"""The trainer image: data, models, the optimisation loop, and what a training leaves behind."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuning_trainer.saved_model import LoadedModel

__all__ = ["load"]


def load(folder: str | PathLike[str]) -> LoadedModel:
    """The model that a training left in a folder: `tuning_trainer.load("output").predict(rows)`.

    Raises:
        SavedModelRefusedError: the folder holds no whole model of this trainer.
        ConfigurationError: the model is a user's own, and its factory cannot be imported.
        OSError: the folder cannot be read.
    """
    # Not at the top: torch takes seconds to import, and a wrong setting is told before.
    from tuning_trainer import saved_model  # noqa: PLC0415

    return saved_model.load(folder)

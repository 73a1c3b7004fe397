"""A trained model in a folder: its weights, how its rows are prepared, and what is needed to build it again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor, nn

from tuning_trainer import models
from tuning_trainer.data.preparation import Preparation
from tuning_trainer.data.problem import Problem
from tuning_trainer.files import remove_leftovers, replacing
from tuning_trainer.settings import Settings

WEIGHTS_NAME: Final = "model.safetensors"
PREPARATION_NAME: Final = "preparation.safetensors"
DESCRIPTION_NAME: Final = "model.json"

_FORMAT: Final = "tuning-trainer model 1"
"""Changes with the meaning of the description, so that an older folder is refused and not misread."""

_ROWS_AT_A_TIME: Final = 1024


class SavedModelRefusedError(ValueError):
    """The folder holds no whole model of this trainer. One sentence that names it."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A trained model that takes raw rows, as they were before any preparation.

    Args:
        model: on the CPU, in evaluation mode; from prepared rows to logits or standardised numbers.
        settings: of its training.
        problem: what goes in and what comes out.
        preparation: as it was fitted on its training rows.
        target_scale: mean and deviation by which the targets of a regression were standardised.
        metrics: what was measured of it, by name.
    """

    model: nn.Module
    settings: Settings
    problem: Problem
    preparation: Preparation
    target_scale: tuple[float, float]
    metrics: Mapping[str, float]

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """One answer for each row: the class's name, or the number in the target's own units.

        Args:
            rows: a table with the columns of the training rows, an array of their features in the same order, or images.

        Raises:
            ConfigurationError: the rows are not like those that the model was trained on.
        """
        outputs = self._outputs(rows)
        if self.problem.task == "regression":
            mean, deviation = self.target_scale
            numbers: npt.NDArray[Any] = outputs[:, 0].numpy().astype(np.float64) * deviation + mean
            return numbers
        names: npt.NDArray[Any] = np.array(self.problem.class_names)[outputs.argmax(dim=1).numpy()]
        return names

    def predict_proba(self, rows: Any) -> npt.NDArray[np.float32]:
        """The probability of each class (rows, classes), in the order of `problem.class_names`.

        Raises:
            TypeError: the model predicts numbers.
            ConfigurationError: the rows are not like those that the model was trained on.
        """
        if self.problem.task == "regression":
            raise TypeError("a regression has no classes; call predict")
        probabilities: npt.NDArray[np.float32] = self._outputs(rows).softmax(dim=1).numpy()
        return probabilities

    @torch.inference_mode()
    def _outputs(self, rows: Any) -> Tensor:
        inputs = torch.from_numpy(self.preparation.apply(rows))
        return torch.cat([self.model(part) for part in inputs.split(_ROWS_AT_A_TIME)])


def save(
    folder: Path,
    model: nn.Module,
    *,
    settings: Settings,
    problem: Problem,
    preparation_state: Mapping[str, Any],
    target_scale: tuple[float, float] = (0.0, 1.0),
    metrics: Mapping[str, float],
) -> None:
    """Leave a model in a folder, which `load` reads again, or refuses if this was cut off.

    The weights have the names of the model's own state_dict, so that they can be read without this trainer.

    Args:
        folder: is made if it is not there.
        model: on any device.
        settings: of its training.
        problem: what goes in and what comes out.
        preparation_state: of the preparation that was fitted on its training rows; arrays of numbers and plain values.
        target_scale: mean and deviation by which the targets of a regression were standardised.
        metrics: what was measured of it, by name.

    Raises:
        OSError: the folder cannot be written to.
    """
    arrays = {name: value for name, value in preparation_state.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in preparation_state.items() if name not in arrays}
    weights = _written(folder / WEIGHTS_NAME, lambda path: safetensors.torch.save_model(model, str(path)))
    preparation = _written(folder / PREPARATION_NAME, lambda path: safetensors.numpy.save_file(arrays, path))
    description = {
        "format": _FORMAT,
        "settings": asdict(settings),
        "problem": asdict(problem),
        "preparation": plain,
        "target_scale": target_scale,
        "metrics": dict(metrics),
        "sha256": {WEIGHTS_NAME: weights, PREPARATION_NAME: preparation},
    }
    # The last of the three: without it, or with an older one, the folder is refused.
    _written(folder / DESCRIPTION_NAME, lambda path: path.write_text(json.dumps(description, indent=2) + "\n"))
    for name in (WEIGHTS_NAME, PREPARATION_NAME, DESCRIPTION_NAME):
        remove_leftovers(folder / name)


def load(folder: str | os.PathLike[str]) -> LoadedModel:
    """The model that a training left in a folder.

    No code comes out of the folder; a model of a user's own factory needs that factory to be importable.

    Raises:
        SavedModelRefusedError: the folder holds no whole model of this trainer.
        ConfigurationError: the factory cannot be imported.
        OSError: the folder cannot be read.
    """
    path = Path(folder)
    description = _description(path / DESCRIPTION_NAME)
    for name, digest in description["sha256"].items():
        if not (path / name).is_file():
            raise SavedModelRefusedError(f"model {path} is not whole: {name} is missing")
        if _digest(path / name) != digest:
            raise SavedModelRefusedError(f"model {path} is torn: {name} does not fit the checksum in {DESCRIPTION_NAME}")
    settings = _settings(path, description["settings"])
    problem = Problem(**_with_tuples(description["problem"]))
    mean, deviation = description["target_scale"]
    return LoadedModel(
        model=_model(path, settings, problem),
        settings=settings,
        problem=problem,
        preparation=Preparation.from_state(description["preparation"] | safetensors.numpy.load_file(path / PREPARATION_NAME)),
        target_scale=(mean, deviation),
        metrics=description["metrics"],
    )


def _model(path: Path, settings: Settings, problem: Problem) -> nn.Module:
    # Its first weights are random and soon replaced; the caller's random numbers are left as they were.
    with torch.random.fork_rng(devices=[]):
        model = models.build(settings, problem)
    try:
        safetensors.torch.load_model(model, path / WEIGHTS_NAME)
    except RuntimeError as error:
        raise SavedModelRefusedError(f"model {path} was saved by another version of its network: {error}") from error
    return model.eval()


def _settings(path: Path, values: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except TypeError as error:
        raise SavedModelRefusedError(f"model {path} was saved by another version of the trainer: {error}") from error


def _description(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise SavedModelRefusedError(f"{path.parent} holds no model: {path.name} is missing")
    try:
        description = json.loads(path.read_bytes())
    except ValueError as error:
        raise SavedModelRefusedError(f"model {path.parent} is torn: {path.name} is not JSON") from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise SavedModelRefusedError(f"model {path.parent} was not saved by this version of the trainer: see {path.name}")
    return description


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists alone."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _written(path: Path, write: Callable[[Path], object]) -> str:
    """Replace a file by what `write` makes, whole or not at all; its SHA-256."""
    with replacing(path) as unfinished:
        try:
            write(unfinished)
        # As which it disguises a disk that is full.
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from error
        return _digest(unfinished)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

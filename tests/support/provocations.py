"""Trainings that are made to fail in one way each, and sensible ones in which nothing is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.trainings import TrialFolder

PROVOCATIONS: Final[Mapping[str, str]] = {
    "diverged": "--dataset=diabetes --optimizer=sgd --learning-rate=10 --batch-size=32",
    "unscaled-features": "--dataset=wine --scaling=none --batch-size=16 --epochs=12",
    "exploding-gradients": "--layers=30 --residual=on --epochs=5",
    "vanishing-gradients": "--layers=8 --activation=sigmoid --optimizer=sgd --learning-rate=0.1 --epochs=10",
    "learning-rate-too-low": "--learning-rate=1e-6 --epochs=10",
    "unstable": "--learning-rate=0.3 --epochs=40",
    "learning-rate-too-high": "--learning-rate=0.1 --epochs=12",
    "dead-units": "--learning-rate=1 --layers=2 --epochs=10",
    "not-learning": "--dropout=0.97 --layers=3 --epochs=10",
    "bad-start": "--layers=30 --residual=on --epochs=5",
    "did-not-converge": "--optimizer=sgd --learning-rate=1e-3 --epochs=10",
    "overfitting": "--dataset=diabetes --hidden-units=256 --learning-rate=3e-3 --batch-size=32 --epochs=60",
    # More than there are addresses: where memory is promised before it is there, less would be granted.
    "out-of-memory": "--hidden-units=10000000000000",
}
"""The diagnosis, and flags that provoke it; what they do not name has its default."""

_SETS: Final = {"digits": 64, "wine": 16, "breast_cancer": 32, "diabetes": 32}
"""Bundled sets, and a batch size for as many rows as they have."""

_MODELS: Final = {
    "linear": "--learning-rate=0.01 --epochs=30",
    "mlp": "--learning-rate=0.003 --epochs=30",
    "transformer": "--hidden-units=32 --learning-rate=0.001 --warmup-epochs=1 --epochs=15",
}

HEALTHY: Final[Mapping[str, str]] = {
    f"{dataset} {model}": f"--dataset={dataset} --model={model} --batch-size={batch_size} --schedule=cosine {flags}"
    # Few rows and a weak signal: 64 hidden units learn them by heart.
    + (" --hidden-units=16" if (dataset, model) == ("diabetes", "mlp") else "")
    for dataset, batch_size in _SETS.items()
    for model, flags in _MODELS.items()
}
"""Sensible settings for each set and model."""


def run(folder: Path, flags: str, *, seed: int) -> dict[str, Any]:
    """The result of one training with these flags."""
    trial = TrialFolder(folder)
    metric = "val_rmse" if "--dataset=diabetes" in flags else "val_accuracy"
    code = trial.attempt(*flags.split(), "--progress=none", seed=seed, metric=metric)
    assert code == 0, f"{flags} ended with exit code {code}"
    return trial.result()


def names(result: Mapping[str, Any]) -> list[str]:
    """The diagnoses of a result, the most telling first."""
    return [diagnosis["name"] for diagnosis in result.get("diagnoses", ())]

"""The study that is measured, and the objective that its simulated trials compute."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from bench.orchestration.scenarios import Scenario

Document = dict[str, Any]

_OPTIMIZERS: Final = ("adam", "sgd", "lion")


def study(name: str, scenario: Scenario, *, suspend: bool = False) -> Document:
    """A study of five parameters without a baseline."""
    return {
        "apiVersion": "tuningstudy.dev/v1alpha1",
        "kind": "TuningStudy",
        "metadata": {"name": name},
        "spec": {
            "suspend": suspend,
            "objectives": [{"metric": "val_accuracy", "direction": "maximize"}],
            "parameters": [
                {"name": "learning_rate", "float": {"min": 1e-5, "max": 0.1, "scale": "log"}},
                {"name": "batch_size", "int": {"min": 16, "max": 256, "scale": "log"}},
                {"name": "layers", "int": {"min": 1, "max": 6}},
                {"name": "dropout", "float": {"min": 0.0, "max": 0.6}},
                {"name": "optimizer", "categorical": {"choices": list(_OPTIMIZERS)}},
            ],
            "search": {"sampler": scenario.sampler, "seed": 1},
            "baseline": {"repeats": 0},
            "budget": {"maxTrials": scenario.finished_before + scenario.trials, "parallelism": scenario.parallelism},
            "trial": {"template": {"spec": {"containers": [{"name": "trainer", "image": "trainer:1"}]}}},
        },
    }


def accuracy(parameters: Mapping[str, Any]) -> float:
    """A smooth function with its best value 1 at learning rate 1e-3, batch size 64, 4 layers, dropout 0.2 and adam."""
    distances = (
        math.log10(parameters["learning_rate"]) + 3,
        math.log2(parameters["batch_size"] / 64) / 2,
        (parameters["layers"] - 4) / 3,
        4 * (parameters["dropout"] - 0.2),
        0.5 * _OPTIMIZERS.index(parameters["optimizer"]),
    )
    return 1 - 0.1 * sum(distance**2 for distance in distances)


def result_of(job: Mapping[str, Any]) -> str:
    """The termination message of the trial that a Job runs."""
    container = job["spec"]["template"]["spec"]["containers"][0]
    told = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    return json.dumps({"val_accuracy": accuracy(json.loads(told["TUNING_PARAMETERS"]))})

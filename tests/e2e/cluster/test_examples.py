"""Examples as Pods, with the commands that they state themselves and smaller budgets."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML
from tests.cluster.control_plane import Kubectl
from tests.e2e.cluster.installation import Installation

ROOT: Final = Path(__file__).parents[3]
SMALLER: Final = {"baseline": {"repeats": 1}, "budget": {"maxTrials": 3, "parallelism": 2}, "search": {"sampler": "random"}}


def prepare(kubectl: Kubectl, namespace: str, example: Path) -> None:
    """Run what the example's first comment says is to be done before `kubectl apply`."""
    commands = re.findall(r"^#   kubectl (create .*)$", example.read_text(), re.MULTILINE)
    assert commands
    for command in commands:
        words = (word.replace("--from-file=", f"--from-file={ROOT}/") for word in shlex.split(command))
        kubectl(*words, f"--namespace={namespace}")


def smaller(example: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(example)))
    document["spec"] |= SMALLER
    return document


@pytest.mark.parametrize(("name", "sensible"), [("regression", (40.0, 90.0)), ("own-script", (0.2, 1.0))])
def test_an_example_runs_as_pods_after_the_commands_that_it_states(
    name: str, sensible: tuple[float, float], operator: Installation, namespace: str
) -> None:
    example = ROOT / "examples" / f"{name}.yaml"
    prepare(operator.kubectl, namespace, example)
    operator.apply(namespace, smaller(example))

    operator.wait(namespace, name, "Succeeded")

    trials = operator.stock_trials(namespace, name)
    assert len(trials) == 4
    least, most = sensible
    assert all(least < trial.value < most for trial in trials if trial.value is not None), [trial.value for trial in trials]
    assert any(trial.value is not None and trial.intermediate_values for trial in trials), "reports came through the gateway"
    assert operator.study(namespace, name)["status"]["trials"]["failed"] == 0

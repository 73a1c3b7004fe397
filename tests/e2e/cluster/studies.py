"""Studies for the real cluster. Their containers are real; what they compute is small."""

from __future__ import annotations

from typing import Any, Final

from tests.e2e.cluster.installation import TRAINER

Document = dict[str, Any]

_X: Final = {"name": "x", "float": {"min": 0.0, "max": 1.0, "default": 0.25}}
SCRIPT: Final = """printf '{"score": %s, "seed": %s}' "$TUNING_PARAM_X" "$TUNING_SEED" > "$TUNING_RESULT_FILE" """
"""Knows nothing of this project."""

WAITING_SCRIPT: Final = f"until [ -e /tmp/go ]; do sleep 0.1; done; {SCRIPT}"
"""The same, once somebody makes a file."""

CLIENT: Final = """
import itertools
import time
import tuning_client

with tuning_client.trial() as trial:
    hopeless = trial.number in (8, 11)
    for step in itertools.count():
        trial.report(step, score=-1.0 if hopeless else trial.param("x", 0.25))
        if trial.should_prune():
            raise tuning_client.Pruned
        if step >= 3 and not hopeless:
            break
        time.sleep(0.05)
    trial.result(score=trial.param("x", 0.25))
"""
"""Reports. Trials 8 and 11 are hopeless, and go on until they are told to stop."""


def study(name: str, command: list[str], *, gpus: int = 1, **spec: Any) -> Document:
    """A study of one parameter, x, whose metric is score."""
    container = {"name": "trainer", "image": TRAINER, "imagePullPolicy": "Never", "command": command}
    return {
        "apiVersion": "tuningstudy.dev/v1alpha1",
        "kind": "TuningStudy",
        "metadata": {"name": name},
        "spec": {
            "objectives": [{"metric": "score", "direction": "maximize"}],
            "parameters": [_X],
            "search": {"sampler": "random", "seed": 3},
            "baseline": {"repeats": 1},
            "budget": {"maxTrials": 12, "parallelism": 2},
            "trial": {"gpus": gpus, "template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 2}}},
            **spec,
        },
    }


def scripted(name: str, script: str = SCRIPT, **spec: Any) -> Document:
    """A study of a shell script."""
    return study(name, ["sh", "-c", script], **spec)


def reporting(name: str, **spec: Any) -> Document:
    """A study whose trials report and are pruned."""
    return study(name, ["python", "-c", CLIENT], pruning={"pruner": "median", "startupTrials": 3}, **spec)

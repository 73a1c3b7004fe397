"""The examples are valid, and what they say to the trainer it understands."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tuning_operator.api.constants import TRAINER_IMAGE
from tuning_operator.api.parameters import defaults
from tuning_operator.api.study import TuningStudy, trainer_container
from tuning_trainer.resolve import resolve

EXAMPLES = Path(__file__).parents[3] / "examples"
MANIFESTS = sorted(EXAMPLES.glob("*.yaml"))


def study(path: Path) -> TuningStudy:
    return TuningStudy.model_validate_json(json.dumps(YAML(typ="safe").load(path)))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_an_example_is_a_valid_study_named_like_its_file(path: Path) -> None:
    assert study(path).metadata.name == path.stem
    assert defaults(study(path).spec.parameters)


def test_the_trainer_takes_every_argument_and_every_parameter_of_digits() -> None:
    spec = study(EXAMPLES / "digits.yaml").spec
    container = trainer_container(spec.trial.template)
    assert container["image"] == f"{TRAINER_IMAGE}:{version('tuning-operator')}"
    settings = resolve(container["args"], {p.name: p.domain.default for p in spec.parameters})
    assert (settings.dataset, settings.epochs) == ("digits", 15)


def test_the_baseline_of_digits_is_the_trainer_as_it_runs_without_a_study() -> None:
    spec = study(EXAMPLES / "digits.yaml").spec
    arguments = trainer_container(spec.trial.template)["args"]
    baseline, by_hand = resolve(arguments, defaults(spec.parameters)), resolve(arguments, {})
    assert baseline.weight_decay < 1e-5
    assert baseline == resolve([*arguments, f"--weight-decay={baseline.weight_decay}"], {})
    assert by_hand.weight_decay == 0


@pytest.mark.parametrize(("x", "y", "height"), [(-1.2, 1.0, 24.2), (1.0, 1.0, 0.0), (1e-05, -0.5, 25.99998)])
def test_the_script_writes_the_valleys_height(tmp_path: Path, x: float, y: float, height: float) -> None:
    container = trainer_container(study(EXAMPLES / "script.yaml").spec.trial.template)
    result = tmp_path / "result.json"
    environment = {
        "PATH": os.environ["PATH"],
        "TUNING_PARAM_X": repr(x),
        "TUNING_PARAM_Y": repr(y),
        "TUNING_RESULT_FILE": str(result),
    }
    # Kubernetes expands $(NAME) before the container starts.
    command = [word.replace("$(TUNING_PARAM_X)", repr(x)) for word in (*container["command"], *container["args"])]
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert json.loads(result.read_text()) == {"height": pytest.approx(height)}

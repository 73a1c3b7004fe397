"""The examples are valid, and what they say to the trainer it understands; small versions of them train."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from ruamel.yaml import YAML
from tests.support.trainings import TrialFolder

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


OF_THE_TRAINER = [path for path in MANIFESTS if "command" not in trainer_container(study(path).spec.trial.template)]


@pytest.mark.parametrize("path", OF_THE_TRAINER, ids=lambda path: path.name)
def test_the_trainer_takes_every_argument_parameter_and_choice_of_an_example(path: Path) -> None:
    spec = study(path).spec
    container = trainer_container(spec.trial.template)
    assert container["image"] == f"{TRAINER_IMAGE}:{version('tuning-operator')}"
    resolve(container["args"], {parameter.name: parameter.domain.default for parameter in spec.parameters})
    for parameter in spec.parameters:
        for choice in getattr(parameter.domain, "choices", ()):
            resolve(container["args"], {parameter.name: choice})


@pytest.mark.parametrize("path", OF_THE_TRAINER, ids=lambda path: path.name)
def test_the_defaults_of_an_example_give_its_objective(path: Path, trial: TrialFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES.parent)
    spec = study(path).spec
    arguments = [*trainer_container(spec.trial.template)["args"], "--epochs=1", "--progress=none"]
    folds = str(spec.validation.folds) if spec.validation else ""
    metric = spec.objective.metric
    assert trial.attempt(*arguments, parameters=defaults(spec.parameters), metric=metric, TUNING_FOLDS=folds) == 0
    assert math.isfinite(trial.result()[metric])


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


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_script", EXAMPLES / "own_script.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__dict__["EPOCHS"] = 2
    return module


def test_the_script_runs_by_hand_and_as_a_trial(
    trial: TrialFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script().main()
    assert "val_accuracy=" in capsys.readouterr().out

    for name, value in trial.environment({"learning_rate": 0.01, "batch_size": 32, "hidden_units": 32}).items():
        monkeypatch.setenv(name, value)
    script().main()
    assert trial.result()["val_accuracy"] > 0.8


def test_the_parameters_of_the_script_s_study_are_those_that_it_asks_for() -> None:
    asked = (EXAMPLES / "own_script.py").read_text()
    for parameter in study(EXAMPLES / "own-script.yaml").spec.parameters:
        assert f'param("{parameter.name}", ' in asked


def test_the_table_s_search_rows_and_test_rows_are_different_patients() -> None:
    search, test = (pd.read_csv(EXAMPLES / "data" / f"{name}.csv", dtype=str) for name in ("diabetes", "diabetes_test"))
    assert len(search) + len(test) == 442, "all of scikit-learn's"
    complete = [column for column in search if not search[column].isna().any() and not test[column].isna().any()]
    assert search.merge(test, on=complete).empty
    assert search["sex"].isin(["A", "B"]).sum() < len(search), "with gaps"

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.manifests import NOTHING, changed

from tuning_operator.api.changes import frozen_changes
from tuning_operator.api.manifest import parse
from tuning_operator.api.study import StudySpec

CONTAINER = "spec.trial.template.spec.containers.0"
FIELD = "spec.trial.template.spec.containers[trainer]"
BEFORE: dict[str, Any] = {
    f"{CONTAINER}.command": ["python", "train.py"],
    f"{CONTAINER}.env": [{"name": "API_KEY", "value": "secret-1"}, {"name": "A", "value": "1"}],
}
AFTER = "after the first result; put it back, or make a new study"


def spec(changes: dict[str, Any]) -> StudySpec:
    return parse(changed(BEFORE | changes)).spec


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"spec.objectives.0.direction": "minimize"},
            f"spec.objectives[0].direction: changed from 'maximize' to 'minimize' {AFTER}",
            id="the direction",
        ),
        pytest.param(
            {"spec.objectives.0.target": 0.98},
            f"spec.objectives[0].target: changed from nothing to 0.98 {AFTER}",
            id="the target",
        ),
        pytest.param(
            {"spec.parameters.0.float.max": 0.5},
            f"spec.parameters[learning_rate].float.max: changed from 0.1 to 0.5 {AFTER}",
            id="a range",
        ),
        pytest.param(
            {"spec.parameters.2.categorical.choices": ["adam", "sgd", "adamw"]},
            f"spec.parameters[optimizer].categorical.choices: changed from [adam, sgd] to [adam, sgd, adamw] {AFTER}",
            id="the choices",
        ),
        pytest.param(
            {"spec.parameters.4": {"name": "depth", "int": {"min": 1, "max": 3, "default": 1}}},
            f"spec.parameters[depth]: changed from nothing to 'depth' {AFTER}",
            id="a parameter more",
        ),
        pytest.param(
            {"spec.parameters.3": NOTHING},
            f"spec.parameters[momentum]: changed from 'momentum' to nothing {AFTER}",
            id="a parameter less",
        ),
        pytest.param(
            {"spec.search.seed": 8},
            f"spec.search.seed: changed from 0 to 8 {AFTER}",
            id="the seed",
        ),
        pytest.param(
            {"spec.pruning.pruner": "median"},
            f"spec.pruning.pruner: changed from 'none' to 'median' {AFTER}",
            id="the pruner",
        ),
        pytest.param(
            {"spec.validation": {"folds": 5}},
            f"spec.validation: changed from nothing to a mapping {AFTER}",
            id="the folds",
        ),
        pytest.param(
            {"spec.baseline.repeats": 5},
            f"spec.baseline.repeats: changed from 3 to 5 {AFTER}",
            id="the baseline",
        ),
        pytest.param(
            {"spec.confirmation.repeats": 5},
            f"spec.confirmation.repeats: changed from 0 to 5 {AFTER}",
            id="the confirmation",
        ),
        pytest.param(
            {f"{CONTAINER}.image": "other"},
            f"{FIELD}.image: changed from 'tuning-trainer' to 'other' {AFTER}",
            id="the image",
        ),
        pytest.param(
            {f"{CONTAINER}.command": ["python", "-O", "train.py"]},
            f"{FIELD}.command: changed from [python, train.py] to [python, -O, train.py] {AFTER}",
            id="the command",
        ),
        pytest.param(
            {f"{CONTAINER}.args": ["--epochs=3"]},
            f"{FIELD}.args: changed from nothing to [--epochs=3] {AFTER}",
            id="the arguments",
        ),
        pytest.param(
            {f"{CONTAINER}.env.0.value": "secret-2"},
            f"{FIELD}.env[API_KEY].value: changed {AFTER}",
            id="a variable, whose values stay unsaid",
        ),
        pytest.param(
            {f"{CONTAINER}.envFrom": [{"secretRef": {"name": "a"}}]},
            f"{FIELD}.envFrom: changed {AFTER}",
            id="a source of variables",
        ),
        pytest.param(
            {"spec.trial.template.spec.initContainers": [{"name": "download", "image": "curl"}]},
            f"spec.trial.template.spec.initContainers[download]: changed from nothing to 'download' {AFTER}",
            id="a container more",
        ),
    ],
)
def test_a_change_that_makes_results_incomparable_is_told(changes: dict[str, Any], sentence: str) -> None:
    assert frozen_changes(spec({}), spec(changes)) == (sentence,)


def test_another_order_of_the_parameters_is_a_change() -> None:
    before = spec({})
    after = before.model_copy(update={"parameters": (before.parameters[1], before.parameters[0], *before.parameters[2:])})
    (sentence,) = frozen_changes(before, after)
    assert sentence == (
        "spec.parameters: changed from [learning_rate, batch_size, optimizer, momentum]"
        f" to [batch_size, learning_rate, optimizer, momentum] {AFTER}"
    )


def test_every_frozen_change_is_told() -> None:
    assert (
        len(frozen_changes(spec({}), spec({"spec.search.seed": 1, "spec.baseline.repeats": 1, f"{CONTAINER}.image": "x"}))) == 3
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"spec.search": {"sampler": "auto"}}, id="a default written out"),
        pytest.param({"spec.budget": {"maxTrials": 90, "parallelism": 4, "maxDuration": "2h"}}, id="the budget"),
        pytest.param({"spec.stopping": {"plateau": {"patience": 40}}}, id="when to stop early"),
        pytest.param({"spec.suspend": True}, id="suspension"),
        pytest.param({"spec.retry.failures": 3}, id="retries"),
        pytest.param({"spec.ttlSecondsAfterFinished": 60}, id="the time to live"),
        pytest.param({"spec.trial.gpus": 2, "spec.trial.timeout": "2h"}, id="GPUs and the time limit"),
        pytest.param({f"{CONTAINER}.resources": {"limits": {"memory": "8Gi"}}}, id="resources"),
        pytest.param({"spec.trial.template.spec.nodeSelector": {"gpu": "a100"}}, id="where Pods run"),
        pytest.param({"spec.trial.template.metadata": {"labels": {"team": "a"}}}, id="labels"),
        pytest.param({f"{CONTAINER}.args": []}, id="an empty list for an absent one"),
    ],
)
def test_what_leaves_results_comparable_may_change_at_any_time(changes: dict[str, Any]) -> None:
    assert frozen_changes(spec({}), spec(changes)) == ()

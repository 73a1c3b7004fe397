"""The process that stands for a container."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import pytest

from tuning_operator.api.problems import ManifestError
from tuning_operator.api.study import TrialTemplate
from tuning_operator.runtime.local.command import is_trainer_image, local_command


def template(**container: Any) -> TrialTemplate:
    document = {"template": {"spec": {"containers": [{"name": "t", **container}]}}}
    return TrialTemplate.model_validate_json(json.dumps(document))


def test_command_and_args_are_run_with_placeholders_expanded_as_kubernetes_does() -> None:
    command = local_command(template(command=["sh", "-c"], args=["echo $(TUNING_PARAM_X) $$(HOME) $(NOT_SET)"]))
    argv, _ = command.resolve({"TUNING_PARAM_X": "0.5"})
    assert argv == ("sh", "-c", "echo 0.5 $(HOME) $(NOT_SET)")


def test_the_manifest_s_variables_may_refer_to_the_contract_s_and_to_earlier_ones() -> None:
    env = [{"name": "A", "value": "x=$(TUNING_PARAM_X)"}, {"name": "B", "value": "$(A)!"}]
    _, environment = local_command(template(command=["true"], env=env)).resolve({"TUNING_PARAM_X": "1"})
    assert environment == {"TUNING_PARAM_X": "1", "A": "x=1", "B": "x=1!"}


def test_the_trainer_image_without_a_command_is_the_trainer_of_this_distribution() -> None:
    argv, _ = local_command(template(image="tuning-trainer:0.1", args=["--dataset=digits"])).resolve({})
    assert argv == (sys.executable, "-m", "tuning_trainer", "--dataset=digits")


@pytest.mark.parametrize("image", ["tuning-trainer", "tuning-trainer:v1", "example.test:5000/ml/tuning-trainer@sha256:12"])
def test_the_trainer_image_is_known_whatever_its_registry_and_tag(image: str) -> None:
    assert is_trainer_image(image)


@pytest.mark.parametrize("image", ["", "my-tuning-trainer", "tuning-trainer-gpu:1", "tuning-trainer/other"])
def test_other_images_are_not_the_trainer(image: str) -> None:
    assert not is_trainer_image(image)


REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "another image without a command": ({"image": "busybox"}, "set command"),
    "a variable from a Secret": (
        {"command": ["a"], "env": [{"name": "A", "valueFrom": {}}]},
        "env[0].valueFrom: needs a cluster",
    ),
    "variables from a ConfigMap": ({"command": ["a"], "envFrom": [{"configMapRef": {"name": "c"}}]}, "envFrom: needs a cluster"),
}


@pytest.mark.parametrize(("container", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_field_and_remedy(container: dict[str, Any], says: str) -> None:
    with pytest.raises(ManifestError) as error:
        local_command(template(**container))
    assert says in str(error.value)

"""The definition in a real API server: accepted without reserve, fills in defaults, explains itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.binaries import binary
from tests.support.kubernetes import DEFINITION, ApiServer, RefusedError
from tests.unit.api.manifests import changed, good

from tuning_operator.api.manifest import parse

EXAMPLES = sorted((DEFINITION.parents[1] / "examples").glob("*.yaml"))
# What rules may cost of the API server's limits; beyond that a larger maximum or a new rule needs thought first.
SHARE_IN_USE = 0.7


def test_the_definition_is_established_and_its_schema_is_structural(api_server: ApiServer) -> None:
    definition = json.loads(api_server.kubectl("get", f"--filename={DEFINITION}", "--output=json"))
    conditions = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_accepted_as_it_stands_in_the_repository(api_server: ApiServer, namespace: str, example: Path) -> None:
    where = (f"--namespace={namespace}", f"--filename={example}")
    assert api_server.kubectl("apply", "--server-side", "--validate=strict", *where).endswith("serverside-applied\n")
    served = json.loads(api_server.kubectl("get", *where, "--output=json"))
    assert parse(served).spec.parameters


def test_the_api_server_fills_in_the_defaults(api_server: ApiServer, namespace: str) -> None:
    spec = api_server.create_study(namespace, good())["spec"]
    assert spec["search"] == {"sampler": "auto", "seed": 0, "seedTrials": []}
    assert spec["baseline"] == {"repeats": 3}
    assert spec["budget"] == {"maxTrials": 60, "parallelism": 1}
    assert spec["suspend"] is False
    assert spec["parameters"][0]["when"] == []
    assert spec["parameters"][3]["float"]["scale"] == "linear"


def test_the_api_server_fills_in_what_the_models_fill_in(api_server: ApiServer, namespace: str) -> None:
    served = parse(api_server.create_study(namespace, good()))
    assert served.spec == parse(good()).spec


def test_a_template_keeps_fields_that_the_definition_does_not_know(api_server: ApiServer, namespace: str) -> None:
    container = {"name": "trainer", "image": "tuning-trainer", "aFieldOfTomorrow": {"deep": [1, 0.5, None]}}
    template = {"metadata": {"labels": {"team": "vision"}}, "spec": {"containers": [container], "priorityClassName": "low"}}
    study = changed({"spec.trial.template": template})
    assert api_server.create_study(namespace, study)["spec"]["trial"]["template"] == template


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"spec.serach": {}}, 'strict decoding error: unknown field "spec.serach"', id="in the spec"),
        pytest.param({"spec.parameters.0.float.scael": "log"}, 'unknown field "spec.parameters[0].float.scael"', id="in a range"),
        pytest.param({"statsu": {}}, 'unknown field "statsu"', id="beside the spec"),
    ],
)
def test_an_unknown_field_is_refused(api_server: ApiServer, namespace: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        api_server.create_study(namespace, changed(changes))
    assert sentence in str(refusal.value)


def test_kubectl_refuses_an_unknown_field_without_being_asked(api_server: ApiServer, namespace: str) -> None:
    with pytest.raises(RuntimeError, match=r'unknown field "spec\.serach"'):
        api_server.kubectl("create", f"--namespace={namespace}", "--filename=-", stdin=json.dumps(changed({"spec.serach": {}})))


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("spec.parameters.float", "Real numbers."),
        ("spec.budget.maxTrials", "Exactly this many search trials, unless the study ends earlier"),
        ("status.conditions", "All types are present from the first visit."),
    ],
)
def test_kubectl_explains_a_field_in_a_sentence(api_server: ApiServer, field: str, sentence: str) -> None:
    assert sentence in api_server.kubectl("explain", f"tuningstudy.{field}")


def test_people_find_studies_by_short_name_and_category(api_server: ApiServer, namespace: str) -> None:
    api_server.create_study(namespace, good())
    for name in ("tstudy", "tuningstudies", "tuning"):
        assert "digits" in api_server.kubectl("get", name, f"--namespace={namespace}", "--no-headers")


def test_three_tenths_of_the_budget_for_rules_are_free() -> None:
    text = DEFINITION.read_bytes()
    costs = json.loads(subprocess.run([binary("celcost")], input=text, capture_output=True, check=True).stdout)
    rules = {f"{rule['path']}: {rule['rule']}": max(rule["cost"], rule["messageCost"]) for rule in costs["rules"]}
    assert rules
    assert {rule: cost for rule, cost in rules.items() if cost > SHARE_IN_USE * costs["ruleLimit"]} == {}
    assert sum(rule["cost"] + rule["messageCost"] for rule in costs["rules"]) <= SHARE_IN_USE * costs["totalLimit"]

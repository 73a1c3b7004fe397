from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from tests.unit.api.manifests import Document, changed, documents, good

from tuning_operator.api.domains import FloatRange
from tuning_operator.api.manifest import load, load_file, parse
from tuning_operator.api.problems import ManifestError
from tuning_operator.api.study import TuningStudy

YAML_TEXT = """
apiVersion: tuningstudy.dev/v1alpha1
kind: TuningStudy
metadata: {name: digits, labels: {since: 2026-11-23}}
spec:
  objectives: [{metric: loss, direction: minimize}]
  parameters:
    - {name: rate, float: {min: 1e-5, max: 1E-1, scale: log, default: .001}}
    - {name: nesterov, categorical: {choices: ["yes", "no", "on", "off", "y"], default: "no"}}
  baseline: &runs {repeats: 1}
  budget: {maxTrials: 1e1, maxFailedTrials: ~, maxDuration: 1h30m}
  search:
  trial:
    timeout: 90m
    template:
      spec:
        containers: [{name: trainer, args: [2026-11-23, "8"], emptyDir: null, tolerance: 2.0}]
"""


def test_a_number_with_an_exponent_is_a_number() -> None:
    assert load(YAML_TEXT).spec.parameters[0].domain == FloatRange(min=1e-5, max=0.1, scale="log", default=1e-3)


def test_quoted_yes_and_no_are_words() -> None:
    domain = load(YAML_TEXT).spec.parameters[1].categorical
    assert domain
    assert domain.choices == ("yes", "no", "on", "off", "y")
    assert domain.default == "no"


def test_a_whole_number_may_have_an_exponent() -> None:
    assert load(YAML_TEXT).spec.budget.max_trials == 10


def test_an_empty_field_counts_as_absent() -> None:
    spec = load(YAML_TEXT).spec
    assert spec.search.sampler == "auto"
    assert spec.budget.max_failed_trials is None


def test_the_template_passes_through_as_it_is_written() -> None:
    assert load(YAML_TEXT).spec.trial.template["spec"]["containers"] == [
        {"name": "trainer", "args": ["2026-11-23", "8"], "emptyDir": None, "tolerance": 2}
    ]


def test_json_is_read_too() -> None:
    assert load(json.dumps(good())) == parse(good())


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(YAML_TEXT.replace('["yes", "no"', '[größer, "no"'), encoding="utf-8")
    domain = load_file(path).spec.parameters[1].categorical
    assert domain
    assert domain.choices[0] == "größer"


def test_a_file_of_another_encoding_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: größer", encoding="latin-1")
    with pytest.raises(ManifestError, match=r"study\.yaml: byte 8 is not UTF-8; save the file as UTF-8"):
        load_file(path)


def test_what_the_api_server_adds_is_no_problem() -> None:
    served: Document = {
        "metadata.uid": "6c0e8e0a",
        "metadata.namespace": "research",
        "metadata.generation": 3,
        "metadata.labels": {"team": "vision"},
        "metadata.annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "metadata.managedFields": [{"manager": "kubectl"}],
        "status": {"phase": "AsAnOlderVersionWroteIt"},
    }
    study = parse(changed(served))
    assert (study.metadata.uid, study.metadata.namespace, study.metadata.generation) == ("6c0e8e0a", "research", 3)
    assert study.status is None


def test_more_running_at_once_than_trials_is_no_mistake() -> None:
    assert parse(changed({"spec.budget": {"maxTrials": 2, "parallelism": 8}})).spec.budget.parallelism == 8


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"spec.baseline": {"repeats": 0}, "spec.parameters.0.float": {"min": 0, "max": 1}}, id="no baseline runs"),
        pytest.param({"spec.parameters.3.float": {"min": 0, "max": 1}}, id="the parameter is inactive in the baseline"),
    ],
)
def test_a_parameter_needs_no_default_when(changes: dict[str, Any]) -> None:
    assert parse(changed(changes)).spec.parameters


def test_a_grid_as_large_as_the_budget_is_fine() -> None:
    grid = {"spec.search": {"sampler": "grid", "gridPoints": 3}, "spec.budget.maxTrials": 99}
    assert parse(changed(grid)).spec.search.grid_points == 3


@settings(deadline=None)
@given(document=documents())
def test_any_valid_manifest_survives_the_way_through_json(document: Document) -> None:
    study = parse(document)
    assert TuningStudy.model_validate_json(study.model_dump_json()) == study
    assert parse(json.loads(study.model_dump_json(exclude_none=True))) == study


@settings(deadline=None)
@given(document=documents())
def test_yaml_and_json_say_the_same(document: Document) -> None:
    assert load(json.dumps(document)) == parse(document)


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off", "y", "N"])
def test_a_word_that_is_a_truth_value_to_kubectl_is_refused_unquoted(word: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        load(YAML_TEXT.replace('default: "no"', f"default: {word}"))
    says = f"{word} is a truth value to kubectl and a word here; put it in quotes, or write true or false"
    assert says in str(refusal.value)
    assert str(refusal.value).startswith("line ")

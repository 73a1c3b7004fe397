"""Each way to write a wrong manifest, with the whole sentence that its writer reads: field, value, remedy."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.manifests import NOTHING, changed, good
from tests.unit.api.wrong_manifests import WRONG, Wrong

from tuning_operator.api.manifest import load, parse
from tuning_operator.api.problems import ManifestError


def problems(document: Any) -> list[str]:
    with pytest.raises(ManifestError) as refusal:
        parse(document)
    assert str(refusal.value).splitlines() == [str(problem) for problem in refusal.value.problems]
    return str(refusal.value).splitlines()


@pytest.mark.parametrize("wrong", WRONG, ids=[wrong.title for wrong in WRONG])
def test_a_wrong_manifest_is_refused_with_field_value_and_remedy(wrong: Wrong) -> None:
    assert problems(changed(wrong.changes)) == [f"{wrong.field}: {wrong.says}; {wrong.remedy}"]


def test_every_problem_is_told_at_once() -> None:
    wrong = {
        "metadata.name": "Digits",
        "spec.objectives.0.direction": "up",
        "spec.parameters.0.float.min": 0,
        "spec.parameters.2.categorical.choices": ["adam", 1, 2],
        "spec.budget.maxTrials": NOTHING,
        "spec.trial.gpu": 1,
    }
    assert [sentence.split(":")[0] for sentence in problems(changed(wrong))] == [
        "metadata.name",
        "spec.objectives[0].direction",
        "spec.parameters[0].float",
        "spec.parameters[2].categorical.choices[1]",
        "spec.parameters[2].categorical.choices[2]",
        "spec.budget.maxTrials",
        "spec.trial.gpu",
    ]


def test_every_broken_rule_between_sections_is_told_at_once() -> None:
    wrong = {
        "spec.parameters.0.float.default": NOTHING,
        "spec.budget.maxGpuHours": 1,
        "spec.search": {"sampler": "grid", "gridPoints": 9},
    }
    assert [sentence.split(":")[0] for sentence in problems(changed(wrong))] == [
        "spec.parameters[0].float",
        "spec.budget.maxGpuHours",
        "spec.search.sampler",
    ]


def test_of_another_kind_of_object_only_the_kind_is_told() -> None:
    assert problems({"apiVersion": "v1", "kind": "Pod", "spec": {}}) == [
        "apiVersion: 'v1' is not a study; write apiVersion: tuningstudy.dev/v1alpha1",
        "kind: 'Pod' is not a study; write kind: TuningStudy",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "the manifest is empty; write apiVersion, kind, metadata and spec", id="an empty file"),
        pytest.param("- a", "the manifest is a list; write apiVersion, kind, metadata and spec", id="a list"),
        pytest.param("a: 1\n---\nb: 2", "the text has 2 documents; give each study a file of its own", id="two documents"),
        pytest.param(
            "a: 1\nb: {c: 1, c: 2}", 'line 2, column 11: found duplicate key "c"; remove one of the two', id="a key twice"
        ),
        pytest.param(
            "a: [1", "line 1, column 6: expected ',' or ']', but got '<stream end>'; mend the YAML there", id="an open bracket"
        ),
        pytest.param("a: *b", "line 1, column 4: found undefined alias 'b'; mend the YAML there", id="an unknown alias"),
        pytest.param("a: \x01", "this is not YAML: ", id="a control character"),
        pytest.param("[" * 1000, "the YAML is nested too deeply; a manifest needs a dozen levels", id="bottomless nesting"),
    ],
)
def test_text_that_is_no_manifest_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        load(text)
    assert str(refusal.value).startswith(sentence)


HEAD = "apiVersion: tuningstudy.dev/v1alpha1\nkind: TuningStudy\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "metadata: &a {name: *a}",
            "an alias in the YAML stands for something around itself; write it out",
            id="an endless alias",
        ),
        pytest.param(
            "metadata: {name: !!binary aGk=}", "metadata.name: has the YAML tag of a bytes; remove the tag", id="a binary"
        ),
        pytest.param(
            'metadata: {name: "\\ud800"}',
            "metadata.name: has half of a character (a lone surrogate); write the whole one",
            id="half a character",
        ),
        pytest.param("spec: {? [1] : 2}", "spec: has the key (1,); use words as keys", id="a list as a key"),
    ],
)
def test_yaml_that_json_cannot_say_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        load(HEAD + text)
    assert str(refusal.value) == sentence


def test_the_manifest_that_these_tests_spoil_is_valid() -> None:
    assert parse(good()).metadata.name == "digits"

"""Each way to write a wrong manifest, with the whole sentence that its writer reads: field, value, remedy."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from tests.unit.api.manifests import NOTHING, changed, good

from tuning_operator.api.manifest import load, parse
from tuning_operator.api.problems import ManifestError


def problems(document: Any) -> list[str]:
    with pytest.raises(ManifestError) as refusal:
        parse(document)
    assert str(refusal.value).splitlines() == [str(problem) for problem in refusal.value.problems]
    return str(refusal.value).splitlines()


class Wrong(NamedTuple):
    """A way to spoil the valid manifest, and what is said about it."""

    title: str
    changes: dict[str, Any]
    field: str
    says: str
    remedy: str


WRONG = [
    # The document
    Wrong(
        "another version of the API",
        {"apiVersion": "tuningstudy.dev/v1"},
        "apiVersion",
        "'tuningstudy.dev/v1' is not a study",
        "write apiVersion: tuningstudy.dev/v1alpha1",
    ),
    Wrong("another kind", {"kind": "Job"}, "kind", "'Job' is not a study", "write kind: TuningStudy"),
    Wrong("no kind", {"kind": NOTHING}, "kind", "is missing", "write kind: TuningStudy"),
    Wrong("no name", {"metadata.name": NOTHING}, "metadata.name", "is missing", "add it"),
    Wrong(
        "a name in capitals",
        {"metadata.name": "Digits"},
        "metadata.name",
        "'Digits' is not possible",
        "use at most 63 lower-case letters, digits and -, a letter or digit first and last",
    ),
    Wrong(
        "a name that is too long",
        {"metadata.name": "a" * 64},
        "metadata.name",
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...' has 64 characters",
        "write at most 63",
    ),
    Wrong("a missing section", {"spec.budget": NOTHING}, "spec.budget", "is missing", "add it"),
    Wrong("a section left empty", {"spec.budget": None}, "spec.budget", "is missing", "add it"),
    Wrong("a misspelled section", {"spec.serach": {}}, "spec.serach", "is not a field here", "did you mean 'search'?"),
    Wrong(
        "a misspelled field",
        {"spec.parameters.0.float.scael": "log"},
        "spec.parameters[0].float.scael",
        "is not a field here",
        "did you mean 'scale'?",
    ),
    Wrong("a field like no other", {"spec.retry.zzz": 1}, "spec.retry.zzz", "is not a field here", "known are failures"),
    # Types
    Wrong(
        "a list where a section belongs",
        {"spec.budget": [1]},
        "spec.budget",
        "a list is not a mapping",
        "write it as lines of name: value",
    ),
    Wrong(
        "a section where a list belongs",
        {"spec.parameters": {"lr": 1}},
        "spec.parameters",
        "a mapping is not a list",
        "write each item in a line after a dash",
    ),
    Wrong(
        "a word as the template",
        {"spec.trial.template": "job"},
        "spec.trial.template",
        "'job' is not a mapping",
        "write it as lines of name: value",
    ),
    Wrong(
        "a number in quotes",
        {"spec.parameters.0.float.min": "1e-5"},
        "spec.parameters[0].float.min",
        "'1e-5' is text, not a number",
        "remove the quotes",
    ),
    Wrong(
        "a word where a number belongs",
        {"spec.parameters.0.float.min": "small"},
        "spec.parameters[0].float.min",
        "'small' is not a number",
        "write one such as 0.1",
    ),
    Wrong(
        "a fraction of a trial",
        {"spec.budget.maxTrials": 1.5},
        "spec.budget.maxTrials",
        "1.5 is not a whole number",
        "write one such as 3",
    ),
    Wrong(
        "a truth as a number",
        {"spec.budget.maxTrials": True},
        "spec.budget.maxTrials",
        "true is not a whole number",
        "write one such as 3",
    ),
    Wrong(
        "a number as a truth", {"spec.suspend": 1}, "spec.suspend", "1 is not true or false", "write one of these, without quotes"
    ),
    Wrong(
        "not a number",
        {"spec.parameters.0.float.max": float("nan")},
        "spec.parameters[0].float.max",
        "NaN is not finite",
        "write a number such as 0.1",
    ),
    Wrong(
        "infinity",
        {"spec.parameters.0.float.max": float("inf")},
        "spec.parameters[0].float.max",
        "Infinity is not finite",
        "write a number such as 0.1",
    ),
    Wrong(
        "a number as a choice",
        {"spec.parameters.2.categorical.choices.1": 32},
        "spec.parameters[2].categorical.choices[1]",
        "32 is not text",
        "put it in quotes",
    ),
    Wrong(
        "a list as a choice",
        {"spec.parameters.2.categorical.choices.1": ["sgd"]},
        "spec.parameters[2].categorical.choices[1]",
        "a list is not text",
        "write one word here",
    ),
    # Values
    Wrong(
        "a misspelled word",
        {"spec.parameters.0.float.scale": "lgo"},
        "spec.parameters[0].float.scale",
        "'lgo' is not possible",
        "did you mean 'log'?",
    ),
    Wrong(
        "an unknown word",
        {"spec.search.sampler": "hyperopt"},
        "spec.search.sampler",
        "'hyperopt' is not possible",
        "known are auto, random, grid, qmc, tpe, gp, cmaes",
    ),
    Wrong("no trials at all", {"spec.budget.maxTrials": 0}, "spec.budget.maxTrials", "0 is below 1", "make it at least 1"),
    Wrong(
        "too many trials",
        {"spec.budget.maxTrials": 20000},
        "spec.budget.maxTrials",
        "20000 is above 10000",
        "make it at most 10000",
    ),
    Wrong(
        "a step of nothing",
        {"spec.parameters.3.float.step": 0},
        "spec.parameters[3].float.step",
        "0 is not above 0",
        "make it larger",
    ),
    Wrong(
        "a duration of another form",
        {"spec.budget.maxDuration": "1 day"},
        "spec.budget.maxDuration",
        "'1 day' is not possible",
        "write it like 30s, 20m, 2h or 1h30m",
    ),
    Wrong(
        "a duration of nothing",
        {"spec.trial.timeout": "0s"},
        "spec.trial.timeout",
        "'0s' is not a positive duration",
        "write it like 30s, 20m, 2h or 1h30m",
    ),
    Wrong(
        "a duration that is too short to be one",
        {"spec.trial.timeout": "s"},
        "spec.trial.timeout",
        "'s' is too short",
        "write at least 2 characters",
    ),
    Wrong("no objective", {"spec.objectives": []}, "spec.objectives", "has 0 items", "give at least 1"),
    Wrong(
        "two objectives",
        {"spec.objectives": [{"metric": "a", "direction": "minimize"}, {"metric": "b", "direction": "minimize"}]},
        "spec.objectives",
        "has 2 items",
        "give at most 1",
    ),
    Wrong(
        "a parameter's name in capitals",
        {"spec.parameters.0.name": "LR"},
        "spec.parameters[0].name",
        "'LR' is not possible",
        "use at most 63 lower-case letters, digits and _, a letter first",
    ),
    Wrong(
        "a metric with a space",
        {"spec.objectives.0.metric": "val acc"},
        "spec.objectives[0].metric",
        "'val acc' is not possible",
        "use at most 63 letters, digits and any of _ . / -, a letter or _ first",
    ),
    Wrong(
        "a choice of two lines",
        {"spec.parameters.2.categorical.choices.1": "a\nb"},
        "spec.parameters[2].categorical.choices[1]",
        "'a\\nb' is not possible",
        "leave out line breaks and other control characters",
    ),
    Wrong(
        "a metric that a result reserves",
        {"spec.objectives.0.metric": "pruned"},
        "spec.objectives[0]",
        "metric pruned has another meaning in a result",
        "give the metric another name",
    ),
    # Ranges
    Wrong(
        "min above max",
        {"spec.parameters.0.float.min": 0.5, "spec.parameters.0.float.default": NOTHING, "spec.baseline": {"repeats": 0}},
        "spec.parameters[0].float",
        "min 0.5 is not below max 0.1",
        "swap them, or drop the parameter if it is fixed",
    ),
    Wrong(
        "min above max, whatever the default and step",
        {"spec.parameters.1.int": {"min": 5, "max": 1, "step": 2, "default": 2}},
        "spec.parameters[1].int",
        "min 5 is not below max 1",
        "swap them, or drop the parameter if it is fixed",
    ),
    Wrong(
        "a log scale from 0",
        {"spec.parameters.0.float.min": 0},
        "spec.parameters[0].float",
        "min 0 is not above 0, which scale: log needs",
        "raise min or use scale: linear",
    ),
    Wrong(
        "a log scale of whole numbers from 0",
        {"spec.parameters.1.int.min": 0},
        "spec.parameters[1].int",
        "min 0 is not above 0, which scale: log needs",
        "raise min or use scale: linear",
    ),
    Wrong(
        "a log scale with steps",
        {"spec.parameters.1.int.step": 16},
        "spec.parameters[1].int",
        "step 16 goes with scale: linear only",
        "drop step or use scale: linear",
    ),
    Wrong(
        "a step over the whole range",
        {"spec.parameters.3.float": {"min": 0, "max": 1, "step": 2}},
        "spec.parameters[3].float",
        "step 2 is above the distance from min 0 to max 1",
        "make it smaller",
    ),
    Wrong(
        "a step lost in rounding",
        {"spec.parameters.3.float": {"min": 0, "max": 1000000000.0, "step": 1e-09}},
        "spec.parameters[3].float",
        "step 1e-09 is too small to tell neighbouring values apart",
        "make it larger or drop it",
    ),
    Wrong(
        "a default outside",
        {"spec.parameters.0.float.default": 0.5},
        "spec.parameters[0].float",
        "default 0.5 is not within 1e-05 .. 0.1",
        "move it inside or widen the range",
    ),
    Wrong(
        "a default between steps",
        {"spec.parameters.3.float.default": 0.85},
        "spec.parameters[3].float",
        "default 0.85 is not min 0 plus whole steps of 0.1",
        "move it or change step",
    ),
    Wrong(
        "a default between whole steps",
        {"spec.parameters.1.int": {"min": 1, "max": 9, "step": 4, "default": 6}},
        "spec.parameters[1].int",
        "default 6 is not min 1 plus whole steps of 4",
        "move it or change step",
    ),
    Wrong(
        "a default that is no choice",
        {"spec.parameters.2.categorical.default": "adma"},
        "spec.parameters[2].categorical",
        "default 'adma' is not one of the choices",
        "add it to choices or change it",
    ),
    Wrong(
        "a choice given twice",
        {"spec.parameters.2.categorical.choices": ["adam", "sgd", "adam"]},
        "spec.parameters[2].categorical.choices[2]",
        "'adam' stands twice in choices",
        "remove one",
    ),
    Wrong(
        "two kinds of range",
        {"spec.parameters.3.int": {"min": 1, "max": 2}},
        "spec.parameters[3]",
        "has float and int",
        "give exactly one of float, int, categorical",
    ),
    Wrong(
        "no range",
        {"spec.parameters.4": {"name": "depth"}},
        "spec.parameters[4]",
        "has none of them",
        "give exactly one of float, int, categorical",
    ),
    # Conditions
    Wrong(
        "two parameters of one name",
        {"spec.parameters.3.name": "learning_rate"},
        "spec.parameters[3].name",
        "'learning_rate' is the name of an earlier parameter too",
        "rename or remove one of them",
    ),
    Wrong(
        "a condition on an unknown parameter",
        {"spec.parameters.3.when.0.parameter": "optimiser"},
        "spec.parameters[3].when[0].parameter",
        "'optimiser' is not a parameter",
        "did you mean 'optimizer'?",
    ),
    Wrong(
        "a condition on a later parameter",
        {"spec.parameters.0.when": [{"parameter": "optimizer", "values": ["sgd"]}]},
        "spec.parameters[0].when[0].parameter",
        "'optimizer' stands after 'learning_rate'",
        "move it before",
    ),
    Wrong(
        "a condition on itself",
        {"spec.parameters.3.when.0.parameter": "momentum"},
        "spec.parameters[3].when[0].parameter",
        "'momentum' is this parameter itself",
        "name another one",
    ),
    Wrong(
        "a condition on a number",
        {"spec.parameters.3.when.0.parameter": "batch_size"},
        "spec.parameters[3].when[0].parameter",
        "'batch_size' is not categorical",
        "only a choice can be a condition",
    ),
    Wrong(
        "a condition on a value that is no choice",
        {"spec.parameters.3.when.0.values": ["sdg"]},
        "spec.parameters[3].when[0].values[0]",
        "'sdg' is not a choice of 'optimizer'",
        "did you mean 'sgd'?",
    ),
    Wrong(
        "a condition with one value twice",
        {"spec.parameters.3.when.0.values": ["sgd", "sgd"]},
        "spec.parameters[3].when[0].values[1]",
        "'sgd' stands twice in values",
        "remove one",
    ),
    Wrong(
        "two conditions on one parameter",
        {"spec.parameters.3.when.1": {"parameter": "optimizer", "values": ["adam"]}},
        "spec.parameters[3].when[1].parameter",
        "optimizer stands twice in when",
        "join the values in one condition",
    ),
    # Between the sections
    Wrong(
        "a baseline without a default",
        {"spec.parameters.0.float.default": NOTHING},
        "spec.parameters[0].float",
        "has no default, with which the baseline runs",
        "set default, or set baseline: {repeats: 0}",
    ),
    Wrong(
        "GPU-hours without GPUs",
        {"spec.budget.maxGpuHours": 40},
        "spec.budget.maxGpuHours",
        "40 needs trial.gpus, which is 0",
        "set trial.gpus, or use maxDuration",
    ),
    Wrong(
        "a grid over a range without steps",
        {"spec.search.sampler": "grid"},
        "spec.search.gridPoints",
        "is missing, and 'learning_rate' has no values of its own to visit",
        "set gridPoints, or give each float a step and each int a linear scale",
    ),
    Wrong(
        "a grid larger than the budget",
        {"spec.search": {"sampler": "grid", "gridPoints": 3}},
        "spec.search.sampler",
        "grid has 99 points, more than budget.maxTrials 60",
        "raise maxTrials, have fewer points (a larger step, fewer choices, lower gridPoints), or use another sampler",
    ),
    # The template
    Wrong(
        "a template without containers",
        {"spec.trial.template.spec.containers": []},
        "spec.trial.template.spec.containers",
        "is empty",
        "add the container that trains",
    ),
    Wrong(
        "a template without spec",
        {"spec.trial.template": {}},
        "spec.trial.template.spec.containers",
        "is empty",
        "add the container that trains",
    ),
    Wrong(
        "two containers, none of them the trainer",
        {"spec.trial.template.spec.containers": [{"name": "a"}, {"name": "b"}]},
        "spec.trial.template.spec.containers",
        "has a, b",
        "name the one that trains 'trainer'",
    ),
    Wrong(
        "a variable of the contract",
        {"spec.trial.template.spec.containers.0.env": [{"name": "A"}, {"name": "TUNING_SEED", "value": "1"}]},
        "spec.trial.template.spec.containers[0].env[1].name",
        "'TUNING_SEED' is the operator's to set, as every TUNING_*",
        "use another name",
    ),
    Wrong(
        "a variable of the contract before the trial",
        {"spec.trial.template.spec.initContainers": [{"name": "a", "env": [{"name": "TUNING_X"}]}]},
        "spec.trial.template.spec.initContainers[0].env[0].name",
        "'TUNING_X' is the operator's to set, as every TUNING_*",
        "use another name",
    ),
    Wrong(
        "a number that JSON lacks in the template",
        {"spec.trial.template.spec.containers.0.x": float("nan")},
        "spec.trial.template.spec.containers[0].x",
        "NaN is not finite",
        "write a number",
    ),
]


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
        pytest.param("", "the manifest is nothing; write apiVersion, kind, metadata and spec", id="an empty file"),
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

"""Each way to write a wrong manifest, sent to a real API server: refused with the field and, where a rule is ours, our words."""

from __future__ import annotations

from typing import Final

import pytest
from tests.support.kubernetes import ApiServer, RefusedError
from tests.unit.api.manifests import changed
from tests.unit.api.wrong_manifests import WRONG, Wrong

# What the API server says in its own words: of names, types, bounds and duplicates. All else is said in ours.
OWN_WORDS: Final = {
    "another version of the API": 'TuningStudy in version "v1" cannot be handled as a TuningStudy',
    "another kind": 'kind: Invalid value: "Job": must be TuningStudy',
    "no kind": "Object 'Kind' is missing",
    "no name": "metadata.name: Required value",
    "a name in capitals": 'metadata.name: Invalid value: "Digits": a lowercase RFC 1123 subdomain must consist of',
    "a name that is too long": "metadata.name: Too long: may not be more than 63 bytes",
    "a missing section": "spec.budget: Required value",
    "a section left empty": "spec.budget: Required value",
    "a misspelled section": 'unknown field "spec.serach"',
    "a misspelled field": 'unknown field "spec.parameters[0].float.scael"',
    "a field like no other": 'unknown field "spec.retry.zzz"',
    "a list where a section belongs": "spec.budget in body must be of type object",
    "a section where a list belongs": 'unknown field "spec.parameters.lr"',
    "a word as the template": "spec.trial.template in body must be of type object",
    "a number in quotes": "spec.parameters[0].float.min in body must be of type number",
    "a word where a number belongs": "spec.parameters[0].float.min in body must be of type number",
    "a fraction of a trial": "spec.budget.maxTrials in body must be of type integer",
    "a truth as a number": "spec.budget.maxTrials in body must be of type integer",
    "a number as a truth": "spec.suspend in body must be of type boolean",
    "not a number": "json parse error: invalid character 'N'",
    "infinity": "json parse error: invalid character 'I'",
    "a number as a choice": "spec.parameters[2].categorical.choices[1] in body must be of type string",
    "a list as a choice": "spec.parameters[2].categorical.choices[1] in body must be of type string",
    "a misspelled word": 'spec.parameters[0].float.scale: Unsupported value: "lgo": supported values: "linear", "log"',
    "an unknown word": 'spec.search.sampler: Unsupported value: "hyperopt": supported values: "auto", "random", "grid"',
    "no trials at all": "spec.budget.maxTrials in body should be greater than or equal to 1",
    "too many trials": "spec.budget.maxTrials in body should be less than or equal to 10000",
    "a step of nothing": "spec.parameters[3].float.step in body should be greater than 0",
    "a duration of another form": "spec.budget.maxDuration in body should match '^([0-9]+h)?([0-9]+m)?([0-9]+s)?$'",
    "a duration that is too short to be one": "spec.trial.timeout in body should be at least 2 chars long",
    "no objective": "spec.objectives in body should have at least 1 items",
    "two objectives": "spec.objectives: Too many: 2: must have at most 1 item",
    "a parameter's name in capitals": "spec.parameters[0].name in body should match '^[a-z][a-z0-9_]{0,62}$'",
    "a metric with a space": "spec.objectives[0].metric in body should match '^[A-Za-z_][A-Za-z0-9_./-]{0,62}$'",
    "a choice of two lines": "spec.parameters[2].categorical.choices[1] in body should match",
    "a choice given twice": 'spec.parameters[2].categorical.choices[2]: Duplicate value: "adam"',
    "two parameters of one name": 'spec.parameters[3]: Duplicate value: {"name":"learning_rate"}',
    "a condition with one value twice": 'spec.parameters[3].when[0].values[1]: Duplicate value: "sgd"',
    "two conditions on one parameter": 'spec.parameters[3].when[1]: Duplicate value: {"parameter":"optimizer"}',
    "an unknown pruner": 'spec.pruning.pruner: Unsupported value: "wilcoxon": supported values: "none", "auto", "median"',
    "a maxResource in words": "spec.pruning.maxResource in body must be of type integer",
    "halving by one": "spec.pruning.reductionFactor in body should be greater than or equal to 2",
    "cross-validation with one fold": "spec.validation.folds in body should be greater than or equal to 2",
    "a gain of nothing to ask for": "spec.stopping.marginalGain.minImprovementPerTrialHour in body should be greater than 0",
    "no patience at all": "spec.stopping.plateau.patience in body should be greater than or equal to 1",
    "a template without containers": "spec.trial.template.spec.containers in body should have at least 1 items",
    "a template without spec": "spec.trial.template.spec: Required value",
    "a number that JSON lacks in the template": "json parse error: invalid character 'N'",
    # Rules of ours whose sentence cannot quote the value: a message has to be cheap to make.
    "two kinds of range": 'spec.parameters[3]: Invalid value: "object": give exactly one of float, int, categorical',
    "no range": 'spec.parameters[4]: Invalid value: "object": give exactly one of float, int, categorical',
    "a condition on an unknown parameter": "when names something that is not a categorical parameter; name a categorical one",
    "a condition on itself": "when names something that is not a categorical parameter; name a categorical one that stands",
    "a condition on a number": "when names something that is not a categorical parameter; name a categorical one that stands",
    "a condition on a value that is no choice": "when has a value that is not a choice of its parameter; use only choices of",
    "a baseline without a default": 'spec.parameters: Invalid value: "object": a parameter has no default, with which the '
    "baseline runs; set default, or set baseline: {repeats: 0}",
    "GPU-hours without GPUs": "maxGpuHours needs trial.gpus, which is 0; set trial.gpus, or use maxDuration",
    "a gain per GPU-hour without GPUs": "minImprovementPerGpuHour needs trial.gpus, which is 0; set trial.gpus, or use "
    "minImprovementPerTrialHour",
    "a plateau without a height": "minDelta is missing, and fewer than two baseline runs give no standard deviation to use; "
    "set it, or raise repeats to 2 or more",
    "a grid over a range without steps": "gridPoints is missing; set it, or give each float a step and each int a linear scale",
    "more seed trials than trials": "seedTrials are more than budget.maxTrials; raise maxTrials, or remove some",
    "seed trials of a grid": "seedTrials does not go with sampler grid, which has points of its own; remove it, or use auto",
    "two containers, none of them the trainer": "there are several containers; name the one that trains trainer",
    "a variable of the contract": "a container sets a variable TUNING_*, which are the operator's; use another name",
    "a variable of the contract before the trial": "a container sets a variable TUNING_*, which are the operator's; use another",
    "fewer than no fresh runs": "spec.confirmation.repeats in body should be greater than or equal to 0",
    "a final evaluation without repeats": "spec.finalEvaluation.repeats in body should be greater than or equal to 1",
}
# What a schema cannot say within the API server's limits: the operator says it, in the study's status.
LEFT_TO_THE_OPERATOR: Final = {
    "a duration of nothing",  # zero in many forms
    "a condition on a later parameter",  # positions in a list
    "a grid larger than the budget",  # a product over the parameters
    # values of any kind, which CEL does not look into
    "a seed trial with an unknown parameter",
    "a seed trial outside the space",
    "a seed trial with a parameter that is not active",
    "a seed trial without a value",
    "a seed trial given twice",
}


def titled(wrong: Wrong) -> str:
    return wrong.title


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if wrong.title not in LEFT_TO_THE_OPERATOR], ids=titled)
def test_the_api_server_refuses(api_server: ApiServer, wrong: Wrong) -> None:
    with pytest.raises(RefusedError) as refusal:
        api_server.create_study("default", changed(wrong.changes), dry_run=True)
    assert OWN_WORDS.get(wrong.title, f"{wrong.says}; {wrong.remedy}") in str(refusal.value)
    if wrong.title not in OWN_WORDS:
        assert f" {wrong.field}." in str(refusal.value) or f" {wrong.field}:" in str(refusal.value)


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if wrong.title in LEFT_TO_THE_OPERATOR], ids=titled)
def test_the_api_server_leaves_to_the_operator(api_server: ApiServer, wrong: Wrong) -> None:
    assert api_server.create_study("default", changed(wrong.changes), dry_run=True)["metadata"]["name"] == "digits"


def test_every_row_here_is_a_row_of_the_table() -> None:
    assert OWN_WORDS.keys() | LEFT_TO_THE_OPERATOR <= {wrong.title for wrong in WRONG}

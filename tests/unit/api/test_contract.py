from __future__ import annotations

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.studies import study_spec

from tuning_operator.api.contract import (
    EXIT_CONFIGURATION,
    EXIT_INTERRUPTED,
    RESULT_LIMIT,
    Places,
    Result,
    ResultError,
    environment,
    expand,
    parse_result,
)
from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import METRIC_NAME_PATTERN, StudySpec

SPACE = [
    {"name": "learning_rate", "float": {"min": 1e-5, "max": 0.1}},
    {"name": "batch_size", "int": {"min": 1, "max": 256}},
    {"name": "optimizer", "categorical": {"choices": ["adam", "sgd"]}},
    {"name": "momentum", "float": {"min": 0, "max": 1, "default": 0.9}, "when": [{"parameter": "optimizer", "values": ["sgd"]}]},
    {"name": "dampening", "float": {"min": 0, "max": 1}, "when": [{"parameter": "optimizer", "values": ["sgd"]}]},
]
PARAMETERS: Parameters = {"learning_rate": 1e-4, "batch_size": 32, "optimizer": "adam"}


SPEC = study_spec(objectives=[{"metric": "val_loss", "direction": "minimize"}], parameters=SPACE)


def told(parameters: Parameters = PARAMETERS, spec: StudySpec = SPEC) -> dict[str, str]:
    return environment(
        study="digits",
        trial=27,
        role="search",
        parameters=parameters,
        seed=12,
        spec=spec,
    )


def test_a_trial_is_told_what_it_is_and_what_it_is_judged_by() -> None:
    assert {name: value for name, value in told().items() if "PARAM" not in name} == {
        "TUNING_STUDY": "digits",
        "TUNING_TRIAL": "27",
        "TUNING_ROLE": "search",
        "TUNING_SEED": "12",
        "TUNING_METRIC": "val_loss",
        "TUNING_DIRECTION": "minimize",
    }


def test_a_trial_of_a_study_with_cross_validation_is_told_how_many_folds_it_is() -> None:
    assert told(spec=study_spec(validation={"folds": 5}))["TUNING_FOLDS"] == "5"


def test_each_parameter_has_a_variable_and_an_inactive_one_its_default() -> None:
    assert {name: value for name, value in told().items() if name.startswith("TUNING_PARAM_")} == {
        "TUNING_PARAM_LEARNING_RATE": "0.0001",
        "TUNING_PARAM_BATCH_SIZE": "32",
        "TUNING_PARAM_OPTIMIZER": "adam",
        "TUNING_PARAM_MOMENTUM": "0.9",
    }


def test_the_json_holds_the_active_parameters_alone_with_their_types() -> None:
    assert json.loads(told()["TUNING_PARAMETERS"]) == PARAMETERS


@settings(deadline=None)
@given(rate=st.floats(1e-5, 0.1))
def test_a_float_survives_the_way_to_the_trial(rate: float) -> None:
    variables = told({**PARAMETERS, "learning_rate": rate})
    assert float(variables["TUNING_PARAM_LEARNING_RATE"]) == rate
    assert json.loads(variables["TUNING_PARAMETERS"])["learning_rate"] == rate


def test_a_place_that_is_not_offered_has_no_variable() -> None:
    assert Places(result_file="/dev/termination-log").environment() == {"TUNING_RESULT_FILE": "/dev/termination-log"}
    everything = Places(result_file="r", checkpoint_dir="c", output_dir="o", endpoint="http://e", token_file="t")
    assert everything.environment() == {
        "TUNING_RESULT_FILE": "r",
        "TUNING_CHECKPOINT_DIR": "c",
        "TUNING_OUTPUT_DIR": "o",
        "TUNING_ENDPOINT": "http://e",
        "TUNING_TOKEN_FILE": "t",
    }


def test_the_exit_codes_are_those_of_sysexits() -> None:
    assert (EXIT_INTERRUPTED, EXIT_CONFIGURATION) == (75, 78)


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("--lr=$(LR)", "--lr=0.1"),
        ("$(LR)$(LR)", "0.10.1"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(LR)", "$(LR)"),
        ("$$$(LR)", "$0.1"),
        ("$$$$", "$$"),
        ("$LR", "$LR"),
        ("${LR}", "${LR}"),
        ("$(LR", "$(LR"),
        ("$($(LR)", "$($(LR)"),
        ("$()", "$()"),
        ("cost: 5$", "cost: 5$"),
        ("$(NESTED)", "$(LR)"),
    ],
)
def test_references_are_expanded_as_kubernetes_does(word: str, expanded: str) -> None:
    assert expand([word], {"LR": "0.1", "NESTED": "$(LR)"}) == (expanded,)


@settings(deadline=None)
@given(words=st.lists(st.text(st.sampled_from("$()LR "))), value=st.text())
def test_any_words_can_be_expanded(words: list[str], value: str) -> None:
    assert len(expand(words, {"LR": value})) == len(words)


@settings(deadline=None)
@given(word=st.text())
def test_a_word_without_dollars_stays_as_it_is(word: str) -> None:
    plain = word.replace("$", "")
    assert expand([plain], {"LR": "0.1"}) == (plain,)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{"acc": 0.93}', Result(metrics={"acc": 0.93})),
        ('{"epochs": 7}\n', Result(metrics={"epochs": 7.0})),
        ("{}", Result(metrics={})),
        ('{"acc": 0.1, "pruned": true}', Result(metrics={"acc": 0.1}, pruned=True)),
        ('{"acc": 0.1, "pruned": false}', Result(metrics={"acc": 0.1})),
        ('{"acc": 1, "message": "early stop"}', Result(metrics={"acc": 1.0}, message="early stop")),
        ('{"message": "inf"}', Result(metrics={}, message="inf")),
        ('{"message": 3}', Result(metrics={"message": 3.0})),
        ('{"acc": 1, "note": "x", "converged": true, "lr": null}', Result(metrics={"acc": 1.0}, notes={"note": "x"})),
        (
            '{"a": "inf", "b": "-Infinity", "c": Infinity, "d": 1e999}',
            Result(metrics=dict(zip("abcd", (math.inf, -math.inf, math.inf, math.inf), strict=True))),
        ),
        (f'{{"a": {10**400}, "b": {-(10**400)}}}', Result(metrics={"a": math.inf, "b": -math.inf})),
        ('{"acc": "0.93"}', Result(metrics={}, notes={"acc": "0.93"})),
    ],
)
def test_a_result_is_read(text: str, result: Result) -> None:
    assert parse_result(text) == result


@pytest.mark.parametrize("text", ['{"loss": "nan"}', '{"loss": "NaN"}', '{"loss": NaN}'])
def test_not_a_number_is_a_value_of_a_metric(text: str) -> None:
    assert math.isnan(parse_result(text).metrics["loss"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "the result is '', not JSON; write one object such as {\"accuracy\": 0.93}", id="nothing"),
        pytest.param("acc=0.9", "the result is 'acc=0.9', not JSON; write one object such as {\"accuracy\": 0.93}", id="no JSON"),
        pytest.param("0.93", "the result is '0.93', not an object; write it such as {\"accuracy\": 0.93}", id="a bare number"),
        pytest.param("[0.93]", 'the result is a list, not an object; write it such as {"accuracy": 0.93}', id="a list"),
        pytest.param("[" * 4000, "not JSON; write one object", id="bottomless nesting"),
        pytest.param(
            '{"val": {"acc": 1}}', "the result's val is an object; write a flat object, one number for each metric", id="nested"
        ),
        pytest.param(
            '{"acc": [1, 2]}', "the result's acc is a list; write a flat object, one number for each metric", id="a history"
        ),
        pytest.param(
            '{"pruned": "yes"}', "the result's pruned is 'yes'; write true or false, the word is reserved", id="pruned as a word"
        ),
        pytest.param(
            '{"pruned": 1}', "the result's pruned is '1'; write true or false, the word is reserved", id="pruned as a number"
        ),
        pytest.param(
            f'{{"a": "{"é" * 2100}"}}',
            f"the result has 4209 bytes, more than {RESULT_LIMIT}; write only the metrics that matter",
            id="too long",
        ),
    ],
)
def test_what_is_no_result_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ResultError) as refusal:
        parse_result(text)
    assert sentence in str(refusal.value)


def written(metrics: dict[str, float], *, pruned: bool) -> str:
    """A result as the contract asks for it: what is not finite as a string."""
    values = {name: value if math.isfinite(value) else str(value) for name, value in metrics.items()}
    return json.dumps({**values, **({"pruned": True} if pruned else {})})


@settings(deadline=None)
@given(
    metrics=st.dictionaries(
        st.from_regex(METRIC_NAME_PATTERN, fullmatch=True).filter(lambda name: name != "pruned"), st.floats(), max_size=9
    ),
    pruned=st.booleans(),
)
def test_a_result_file_is_read_as_it_was_written(metrics: dict[str, float], *, pruned: bool) -> None:
    result = parse_result(written({name: value for name, value in metrics.items() if name != "message"}, pruned=pruned))
    expected = {name: value for name, value in metrics.items() if name != "message"}
    assert result.pruned is pruned
    assert {name: repr(value) for name, value in result.metrics.items()} == {
        name: repr(value) for name, value in expected.items()
    }


@settings(deadline=None)
@given(text=st.text() | st.text(st.sampled_from('{}[]":,nNaInft1e+-. ')))
def test_any_text_is_a_result_or_refused(text: str) -> None:
    with suppress(ResultError):
        assert all(isinstance(value, float) for value in parse_result(text).metrics.values())


@pytest.mark.parametrize("name", ["", "a b", "a\\u0000b", "\\ud800", "9", "x" * 64], ids=repr)
def test_a_number_under_a_name_that_no_objective_may_have_is_passed_over(name: str) -> None:
    assert dict(parse_result(f'{{"loss": 1, "{name}": 2}}').metrics) == {"loss": 1.0}

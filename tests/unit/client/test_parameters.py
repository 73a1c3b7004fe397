"""What a trial is told: its parameters, seed, role and places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.studies import study_spec

from tuning_client import ConfigurationError, Trial
from tuning_client._environment import ParameterValue, read
from tuning_operator.api import contract

BY_HAND = read({})


def told(**parameters: ParameterValue) -> Trial:
    return Trial(read({"TUNING_PARAMETERS": json.dumps(parameters)}))


@pytest.mark.parametrize(
    ("trial", "default", "value"),
    [
        pytest.param(told(x=0.01), 0.1, 0.01, id="the study's value comes before the default"),
        pytest.param(told(y=0.01), 0.1, 0.1, id="the default stands in for a parameter that the study does not tune"),
        pytest.param(told(), 0.1, 0.1, id="the default stands in when there is no study"),
        pytest.param(told(x=1), 0.1, 1.0, id="a whole number is a float where the default is one"),
        pytest.param(told(x=32), 64, 32, id="an int stays an int"),
        pytest.param(told(x="sgd"), "adam", "sgd", id="a choice"),
    ],
)
def test_param(trial: Trial, default: float | str, value: float | str) -> None:
    answer = trial.param("x", default)
    assert (answer, type(answer)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "default"),
    [("sgd", 0.1), (0.5, 64), (3, "adam"), ("3", 3)],
)
def test_a_value_of_another_type_than_the_default_is_refused(value: float | str, default: float | str) -> None:
    with pytest.raises(ConfigurationError, match=rf"parameter x is {value!r}, but the script's default"):
        told(x=value).param("x", default)


def test_a_parameter_without_value_and_default_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="parameter x is not in TUNING_PARAMETERS; add it to the study, or give"):
        told(y=1).param("x")


def test_parameters_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        told(x=1).parameters["x"] = 2  # type: ignore[index]  # that is the point


def test_a_run_by_hand_has_defaults() -> None:
    trial = Trial(BY_HAND)
    assert (trial.seed, trial.role, trial.number, trial.metric) == (0, "search", 0, "value")
    assert (trial.folds, trial.fold, trial.final_epochs) == (None, None, None)
    assert (trial.checkpoint_dir, trial.output_dir, dict(trial.parameters)) == (None, None, {})


def test_folds_and_final_epochs_are_whole_numbers() -> None:
    trial = Trial(read({"TUNING_FOLDS": "5", "TUNING_FOLD": "0", "TUNING_FINAL_EPOCHS": "17"}))
    assert (trial.folds, trial.fold, trial.final_epochs) == (5, 0, 17)


def test_empty_variables_read_like_absent_ones() -> None:
    names = ("PARAMETERS", "SEED", "ROLE", "TRIAL", "METRIC", "RESULT_FILE", "ENDPOINT", "TOKEN_FILE", "CHECKPOINT_DIR")
    assert read({f"TUNING_{name}": "" for name in names}) == BY_HAND


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"x": null}', '{"x": true}', '{"x": [1]}', "[" * 100_000])
def test_parameters_that_break_the_contract_are_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TUNING_PARAMETERS is .*must be a JSON object of numbers and strings"):
        read({"TUNING_PARAMETERS": text})


@pytest.mark.parametrize("name", ["TUNING_SEED", "TUNING_TRIAL"])
@pytest.mark.parametrize("text", ["-1", "1.5", "one", "٣", "9" * 5000])
def test_numbers_that_break_the_contract_are_named(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is .* must be a whole number from 0 on"):
        read({name: text})


@pytest.mark.parametrize("endpoint", ["gateway:8080", "ftp://gateway", "http://", "http://gateway:port", "http://[::1"])
def test_an_endpoint_that_is_none_is_named(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"TUNING_ENDPOINT is .*; it must be an address such as"):
        Trial(read({"TUNING_ENDPOINT": endpoint, "TUNING_TOKEN_FILE": str(tmp_path / "token")}))


SPACE = [
    {"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "log"}},
    {"name": "batch_size", "int": {"min": 16, "max": 256}},
    {"name": "optimizer", "categorical": {"choices": ["adam", "größe $(HOME)"]}},
]


@given(
    learning_rate=st.floats(1e-5, 1e-1),
    batch_size=st.integers(16, 256),
    optimizer=st.sampled_from(["adam", "größe $(HOME)"]),
    seed=st.integers(0, 2**31 - 1),
    number=st.integers(0, 10_000),
)
def test_the_client_reads_what_the_operator_sets(
    *, learning_rate: float, batch_size: int, optimizer: str, seed: int, number: int
) -> None:
    parameters: dict[str, float | int | str] = {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "optimizer": optimizer,
    }
    variables = contract.environment(
        study="digits",
        trial=number,
        role="baseline",
        parameters=parameters,
        seed=seed,
        spec=study_spec(parameters=SPACE),
    )
    places = contract.Places(result_file="/r", checkpoint_dir="/c", output_dir="/o", endpoint="http://g:1", token_file="/t")
    environment = read(variables | places.environment())
    assert dict(environment.parameters) == parameters
    assert (environment.seed, environment.number, environment.role) == (seed, number, "baseline")
    assert (environment.metric, environment.by_hand) == ("val_accuracy", False)
    paths = (environment.result_file, environment.checkpoint_dir, environment.output_dir, environment.token_file)
    assert paths == (Path("/r"), Path("/c"), Path("/o"), Path("/t"))
    assert environment.endpoint == "http://g:1"

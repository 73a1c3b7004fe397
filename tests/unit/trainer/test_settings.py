"""Settings come from flags and parameters, and a wrong one is told in one sentence."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_client import ConfigurationError
from tuning_trainer.resolve import resolve
from tuning_trainer.settings import Settings


def test_without_flags_and_parameters_the_defaults_hold() -> None:
    assert resolve([], {}) == Settings()


def test_a_flag_wins_over_the_default_and_a_parameter_over_the_flag() -> None:
    settings = resolve(["--learning-rate=0.1", "--epochs", "30"], {"learning_rate": 0.02})
    assert (settings.learning_rate, settings.epochs, settings.batch_size) == (0.02, 30, 64)


def test_every_setting_has_a_flag() -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(Settings()).items()]
    assert resolve(flags, {}) == Settings()


def test_the_study_says_how_many_folds_there_are() -> None:
    assert resolve([], {}, folds=5).folds == resolve(["--folds=5"], {}, folds=5).folds == 5
    with pytest.raises(ConfigurationError) as refused:
        resolve(["--folds=3"], {}, folds=5)
    assert str(refused.value) == "--folds: 3 is not the study's spec.validation.folds, which is 5; leave the flag out"


@pytest.mark.parametrize("value", ["128", 128], ids=["a word, as a categorical parameter gives it", "a whole number"])
def test_a_whole_number_may_arrive_as(value: object) -> None:
    assert resolve([], {"batch_size": value}).batch_size == 128


@pytest.mark.parametrize("value", ["1", 1, 1.0], ids=["a word", "a whole number", "a float"])
def test_a_float_may_arrive_as(value: object) -> None:
    rate = resolve([], {"learning_rate": value}).learning_rate
    assert (rate, type(rate)) == (1.0, float)


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_float_survives_its_way_through_a_flag(rate: float) -> None:
    assert resolve([f"--learning-rate={rate!r}"], {}).learning_rate == rate


REFUSED = {
    "an unknown flag": (["--epochz=3"], {}, "--epochz=3 is not a setting; did you mean --epochs?"),
    "a flag spelled with underscores": (["--batch_size=3"], {}, "--batch_size=3 is not a setting; did you mean --batch-size?"),
    "an abbreviated flag": (["--learning=3"], {}, "--learning=3 is not a setting; did you mean --learning-rate?"),
    "a flag without its value": (["--epochs"], {}, "argument --epochs: expected one argument; see --help"),
    "a word where a number belongs": (["--epochs=ten"], {}, "--epochs: 'ten' is not a whole number; give one such as 20"),
    "a fraction of a batch": ([], {"batch_size": 32.5}, "parameter batch_size: 32.5 is not a whole number; give one such as 64"),
    "a yes where a number belongs": ([], {"epochs": True}, "parameter epochs: True is not a whole number; give one such as 20"),
    "a learning rate of zero": (["--learning-rate=0"], {}, "--learning-rate: 0 is not above 0; give a number such as 0.001"),
    "a learning rate that is no number": (["--learning-rate=nan"], {}, "--learning-rate: nan is not above 0;"),
    "an infinite learning rate": (["--learning-rate=inf"], {}, "--learning-rate: inf is not above 0;"),
    "a dropout of everything": ([], {"dropout": 1.0}, "parameter dropout: 1.0 is not at least 0 and below 1; give a number such"),
    "an unknown optimiser": (
        [],
        {"optimizer": "adma"},
        "parameter optimizer: 'adma' is unknown; give sgd, adam, adamw, rmsprop, adagrad or nadam",
    ),
    "an unknown data set": (["--dataset=mnist"], {}, "--dataset: 'mnist' is unknown; give digits"),
    "a number for a word": (
        [],
        {"optimizer": 3},
        "parameter optimizer: 3 is unknown; give sgd, adam, adamw, rmsprop, adagrad or nadam",
    ),
    "an unknown parameter": (
        [],
        {"lerning_rate": 0.1},
        "parameter lerning_rate is not a setting of this trainer; did you mean learning_rate?",
    ),
    "a parameter like no other": ([], {"x": 1}, "parameter x is not a setting of this trainer; the settings are dataset,"),
    "a split that differs between trials": (
        [],
        {"split_seed": 1},
        "parameter split_seed must be the same for every trial; set it with --split-seed and do not tune it",
    ),
}


@pytest.mark.parametrize(("arguments", "parameters", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refused_in_a_sentence_with_the_remedy(arguments: list[str], parameters: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        resolve(arguments, parameters)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)

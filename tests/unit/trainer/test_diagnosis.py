"""Each rule of diagnosis fires where it should, and not just beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_client import Diagnosis
from tuning_trainer.diagnosis import Beginning, Epoch, diagnose
from tuning_trainer.settings import Settings

LONGEST_SENTENCE = 300  # what the result keeps of one

Series = Callable[[int], float | None]


def healthy_epoch(number: int) -> Epoch:
    loss = 2.3 * math.exp(-number / 4) + 0.02
    return Epoch(
        train_loss=loss,
        val_loss=loss + 0.05,
        val_accuracy=0.97,
        train_accuracy=0.99,
        learning_rate=1e-3,
        gradient_norm_median=1.0,
        gradient_norm_max=2.0,
        first_layer_norm=0.5,
        last_layer_norm=0.6,
        update_ratio=5e-4,
        clipped=0.0,
        dead_units=0.05,
    )


@dataclass(frozen=True, kw_only=True)
class Story:
    """A healthy training of 20 epochs (counted from 1 here), but for what is given."""

    epochs: int = 20
    loss: float = 2.3
    chance_loss: float = 2.3
    task: str = "classification"
    validation_rows: int = 360
    feature_spread: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)

    def diagnoses(self) -> tuple[Diagnosis, ...]:
        beginning = Beginning(
            settings=Settings(**{"epochs": self.epochs, "learning_rate": 1e-3, **self.settings}),
            task="classification" if self.task == "classification" else "regression",
            loss=self.loss,
            chance_loss=self.chance_loss,
            outputs=10 if self.task == "classification" else 1,
            validation_rows=self.validation_rows,
            feature_spread=self.feature_spread,
        )
        return diagnose(beginning, [self.epoch(number) for number in range(1, self.epochs + 1)])

    def epoch(self, number: int) -> Epoch:
        told: dict[str, Any] = {name: series(number) for name, series in self.series.items()}
        return replace(healthy_epoch(number), **told)

    def names(self) -> list[str]:
        return [diagnosis.name for diagnosis in self.diagnoses()]


def always(value: float | None) -> Series:
    return lambda _: value


def from_epoch(first: int, value: float, *, before: float | None = None) -> Series:
    return lambda number: value if number >= first else (healthy_epoch(number).train_loss if before is None else before)


def falling(start: float, end: float, epochs: int = 20) -> Series:
    return lambda number: start + (end - start) * number / epochs


STANDING_STILL = {"train_loss": always(2.29), "val_loss": always(2.3)}
NO_ACCURACY = {"train_accuracy": always(None), "val_accuracy": always(None)}

FIRES = {
    "a loss that is no number is a divergence": ("diverged", Story(epochs=3, series={"train_loss": from_epoch(3, math.nan)})),
    "an infinite validation loss is a divergence": ("diverged", Story(epochs=3, series={"val_loss": from_epoch(3, math.inf)})),
    "a loss far above its start for two epochs is a divergence": ("diverged", Story(series={"train_loss": from_epoch(19, 9.3)})),
    "features of very different sizes are told": (
        "unscaled-features",
        Story(feature_spread=101, settings={"scaling": "none"}),
    ),
    "gradients that are huge from the first epoch explode": (
        "exploding-gradients",
        Story(series={"gradient_norm_median": always(101), "gradient_norm_max": always(101)}),
    ),
    "a gradient that has grown a hundred times explodes": (
        "exploding-gradients",
        Story(series={"gradient_norm_max": from_epoch(15, 101, before=2.0)}),
    ),
    "a gradient that grows from layer to layer explodes": ("exploding-gradients", Story(series={"first_layer_norm": always(43)})),
    "a first layer without gradient, and no progress for long, is a vanishing gradient": (
        "vanishing-gradients",
        Story(series={"train_loss": from_epoch(10, 1.0, before=2.29), "first_layer_norm": always(0.005)}),
    ),
    "tiny steps that change nothing are a learning rate too low": (
        "learning-rate-too-low",
        Story(series={**STANDING_STILL, "update_ratio": always(9e-5)}),
    ),
    "a loss that rises again for two epochs is unstable": (
        "unstable",
        Story(series={"train_loss": lambda n: 1.5 if n in (15, 16) else healthy_epoch(n).train_loss}),
    ),
    "large steps at the end are a learning rate too high": (
        "learning-rate-too-high",
        Story(series={"update_ratio": from_epoch(15, 4e-3, before=5e-4)}),
    ),
    "units that nothing switches on are dead": ("dead-units", Story(series={"dead_units": always(0.4)})),
    "a loss of a constant answer at the end is no learning": ("not-learning", Story(series=STANDING_STILL)),
    "a first loss of several constant answers is a bad start": ("bad-start", Story(loss=7.0)),
    "a loss that falls on until the end has not converged": (
        "did-not-converge",
        Story(series={"train_loss": falling(2.3, 1.0), "val_loss": falling(2.3, 1.1)}),
    ),
    "training rows that are right much more often are overfitted": (
        "overfitting",
        Story(series={"train_accuracy": always(0.85), "val_accuracy": always(0.7)}),
    ),
    "near 100 % a smaller gap is enough": (
        "overfitting",
        Story(series={"train_accuracy": always(0.99), "val_accuracy": always(0.91)}),
    ),
    "classes: a validation loss of one and a half times its best is overfitted": (
        "overfitting",
        Story(series={"val_loss": from_epoch(12, 0.9, before=0.5)}),
    ),
    "numbers: a validation loss a fifth above its best is overfitted": (
        "overfitting",
        Story(task="regression", series={**NO_ACCURACY, "val_loss": from_epoch(12, 0.9, before=0.74)}),
    ),
}

SILENT = {
    "nothing is wrong with a healthy training": Story(),
    "nor where its figures are not known": Story(
        series={name: always(None) for name in ("update_ratio", "dead_units", "gradient_norm_median", "gradient_norm_max")}
    ),
    "nor where nothing was looked at in some epochs": Story(
        series={"update_ratio": lambda n: 5e-4 if n % 3 else None, "first_layer_norm": lambda n: 0.5 if n % 3 else None}
    ),
    "one epoch far above its start is no divergence": Story(
        series={"train_loss": lambda n: 9.3 if n == 15 else healthy_epoch(n).train_loss}
    ),
    "a loss just below four times its start is no divergence": Story(epochs=2, series={"train_loss": always(9.1)}),
    "features of different sizes are no trouble once they are scaled": Story(feature_spread=1e6),
    "features within a hundred times of each other are left alone": Story(feature_spread=100, settings={"scaling": "none"}),
    "images have no features that could differ": Story(feature_spread=None, settings={"scaling": "none"}),
    "a large gradient that was large from the start does not explode": Story(
        series={"gradient_norm_median": always(9.0), "gradient_norm_max": always(800)}
    ),
    "a small first gradient is no harm where the loss falls": Story(series={"first_layer_norm": always(0.001)}),
    "a learning rate that has decayed is not too low": Story(
        task="regression",
        series={
            **NO_ACCURACY,
            "train_loss": always(1.3),
            "val_loss": always(1.4),
            "learning_rate": lambda n: 1e-3 * 0.5**n,
            "update_ratio": lambda n: 1e-3 * 0.5**n,
        },
    ),
    "tiny steps are no harm where the loss has fallen": Story(series={"update_ratio": always(9e-5)}),
    "one epoch above the others is not unstable": Story(
        series={"train_loss": lambda n: 1.5 if n == 15 else healthy_epoch(n).train_loss}
    ),
    "what happens while the rate warms up is not unstable": Story(
        settings={"warmup_epochs": 6.0},
        series={"train_loss": lambda n: {1: 0.5, 2: 2.3, 3: 2.3}.get(n, healthy_epoch(n).train_loss)},
    ),
    "large steps at the beginning are as they should be": Story(series={"update_ratio": from_epoch(11, 5e-4, before=2e-2)}),
    "a few dead units are usual": Story(series={"dead_units": always(0.39)}),
    "a late start is no failure to learn": Story(series={"train_loss": lambda n: 2.29 if n < 7 else 0.02}),
    "a first loss of few constant answers is a start": Story(loss=6.8),
    "where classes are rare a guess costs several constant answers": Story(
        loss=2.4, chance_loss=0.05, series={"train_loss": always(0.03), "val_loss": always(0.03)}
    ),
    "a first loss of a few numbers is by chance what it is": Story(
        task="regression", loss=8.0, settings={"batch_size": 4}, series=NO_ACCURACY
    ),
    "a schedule that has run out would not make more of more epochs": Story(
        series={
            "train_loss": falling(2.3, 1.0),
            "val_loss": falling(2.3, 1.1),
            "learning_rate": lambda n: 1e-3 if n < 20 else 9e-5,
        },
    ),
    "a training that stopped early knew why": Story(
        settings={"epochs": 21}, series={"train_loss": falling(2.3, 1.0), "val_loss": falling(2.3, 1.1)}
    ),
    "more epochs would not help rows that were best long ago": Story(
        series={"train_loss": falling(2.3, 1.0), "val_loss": lambda n: 1.1 if n == 8 else 1.2}
    ),
    "a loss that only moves to and fro has converged": Story(
        series={"train_loss": lambda n: (2.3, 1.0, 1.2)[0 if n == 1 else 1 + n % 2 * (n < 19)], "val_loss": falling(1.3, 1.2)}
    ),
    "of a few rows a gap says nothing": Story(
        validation_rows=36, series={"train_accuracy": always(1.0), "val_accuracy": always(0.92)}
    ),
    "a loss that overfits while nothing is learnt is another matter": Story(
        epochs=9, series={"train_loss": always(2.29), "val_loss": from_epoch(5, 5.0, before=2.3)}
    ),
    "a validation loss that rises by next to nothing is noise": Story(series={"val_loss": from_epoch(12, 0.05, before=0.02)}),
    "nine epochs are too few to judge": Story(epochs=9, series=STANDING_STILL),
    "a training without an epoch has shown nothing": Story(epochs=0, settings={"epochs": 20}),
}


@pytest.mark.parametrize(("name", "story"), FIRES.values(), ids=FIRES.keys())
def test_a_rule_fires(name: str, story: Story) -> None:
    assert name in story.names()


@pytest.mark.parametrize("story", SILENT.values(), ids=SILENT.keys())
def test_no_rule_fires(story: Story) -> None:
    assert story.names() == []


@pytest.mark.parametrize(("name", "story"), FIRES.values(), ids=FIRES.keys())
def test_a_diagnosis_gives_its_figure_and_advice_that_the_result_has_room_for(name: str, story: Story) -> None:
    diagnosis = next(diagnosis for diagnosis in story.diagnoses() if diagnosis.name == name)
    assert diagnosis.figure is not None
    if diagnosis.threshold is not None:
        assert (diagnosis.figure < diagnosis.threshold) == (name in {"vanishing-gradients", "learning-rate-too-low"})
    assert len(diagnosis.sentence) <= LONGEST_SENTENCE
    assert ":" in diagnosis.sentence
    assert diagnosis.sentence.endswith(".")


ADVICE = {
    "too low a rate is raised by as much as its steps are too small": (
        Story(series={**STANDING_STILL, "update_ratio": always(1e-5)}),
        "raise learning_rate from 0.001 to about 0.1",
    ),
    "too high a rate is lowered by as much as its steps are too large": (
        Story(settings={"learning_rate": 0.1}, series={"update_ratio": always(1e-2)}),
        "lower learning_rate from 0.1 to about 0.01",
    ),
    "a divergence at a tenth of the rate": (
        Story(epochs=1, settings={"learning_rate": 0.3}, series={"train_loss": always(math.nan)}),
        "lower learning_rate from 0.3 to about 0.03",
    ),
    "vanishing gradients in sigmoids want another activation": (
        Story(settings={"activation": "sigmoid", "layers": 8}, series={**STANDING_STILL, "first_layer_norm": always(1e-5)}),
        "activation relu instead of sigmoid, normalization batch, residual on, fewer layers than 8",
    ),
    "of what is set already nothing is said": (
        Story(settings={"normalization": "batch", "layers": 8}, series={**STANDING_STILL, "first_layer_norm": always(1e-5)}),
        "try residual on, fewer layers than 8.",
    ),
    "too few epochs are doubled": (
        Story(series={"train_loss": falling(2.3, 1.0), "val_loss": falling(2.3, 1.1)}),
        "raise epochs from 20 to about 40",
    ),
    "overfitting names the epoch that was best": (
        Story(series={"val_loss": lambda n: 0.2 if n == 7 else 1.0}),
        "best in epoch 7 of 20",
    ),
    "patience is not advised where it is set": (
        Story(settings={"patience": 30}, series={"val_loss": lambda n: 0.2 if n == 7 else 1.0}),
        "use fewer hidden_units.",
    ),
}


@pytest.mark.parametrize(("story", "words"), ADVICE.values(), ids=ADVICE.keys())
def test_advice_names_a_setting_and_a_value(story: Story, words: str) -> None:
    assert any(words in diagnosis.sentence for diagnosis in story.diagnoses())


def test_the_most_telling_comes_first() -> None:
    story = Story(
        loss=50.0,
        feature_spread=2000,
        settings={"scaling": "none"},
        series={
            **STANDING_STILL,
            "gradient_norm_median": always(500),
            "gradient_norm_max": always(500),
            "dead_units": always(0.9),
        },
    )
    assert story.names() == ["unscaled-features", "exploding-gradients", "dead-units", "not-learning", "bad-start"]


def test_a_divergence_names_the_trials_failure() -> None:
    story = Story(epochs=12, feature_spread=2000, settings={"scaling": "none"}, series={"train_loss": from_epoch(12, math.nan)})
    assert story.names() == ["diverged", "unscaled-features"]


numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
figures = st.fixed_dictionaries(
    {
        "train_loss": st.floats(),
        "val_loss": st.floats(),
        "val_accuracy": st.one_of(st.none(), st.floats(0, 1)),
        "train_accuracy": st.one_of(st.none(), st.floats(0, 1)),
        "learning_rate": st.floats(0, 10),
        **dict.fromkeys(
            ("gradient_norm_median", "gradient_norm_max", "first_layer_norm", "last_layer_norm", "update_ratio"),
            st.one_of(st.none(), st.floats(0, 1e30)),
        ),
        "dead_units": st.one_of(st.none(), st.floats(0, 1)),
    }
)


@given(st.lists(figures, max_size=30), st.floats(), st.floats(0, 100))
def test_no_series_is_too_strange_to_be_judged(series: list[dict[str, Any]], loss: float, chance_loss: float) -> None:
    beginning = Beginning(
        settings=Settings(), task="classification", loss=loss, chance_loss=chance_loss, outputs=10, validation_rows=1
    )
    diagnoses = diagnose(beginning, [Epoch(**values) for values in series])
    assert len({diagnosis.name for diagnosis in diagnoses}) == len(diagnoses)

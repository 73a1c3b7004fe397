"""A learning-rate schedule follows its curve, whatever interrupts it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some
from torch import nn, optim

from tuning_client import ConfigurationError
from tuning_trainer import optimizers, schedules
from tuning_trainer.schedules import Schedule
from tuning_trainer.settings import Settings

NEVER_BETTER = (1.0,) * 100


def build(settings: Settings, *, steps: int) -> tuple[optim.Optimizer, Schedule]:
    optimizer = optimizers.build(settings, nn.Linear(1, 1))
    return optimizer, schedules.build(settings, optimizer, steps_per_epoch=steps)


def rates(
    settings: Settings,
    *,
    steps: int,
    epochs: int | None = None,
    values: Sequence[float] = NEVER_BETTER,
) -> list[float]:
    """The rate of each step."""
    optimizer, schedule = build(settings, steps=steps)
    seen = []
    for epoch in range(epochs or settings.epochs):
        for _ in range(steps):
            seen.append(schedule.learning_rate)
            optimizer.step()
            schedule.step()
        schedule.end_epoch(values[epoch])
    return seen


# Rates by hand, from a highest rate of 0.8.
CURVES = [
    pytest.param({"schedule": "constant", "epochs": 3}, 2, [0.8] * 6, id="constant"),
    pytest.param(
        {"schedule": "step", "epochs": 5, "decay_epochs": 2, "decay_factor": 0.5},
        2,
        [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2],
        id="step halves every second epoch",
    ),
    pytest.param(
        {"schedule": "exponential", "epochs": 3, "decay_factor": 0.5},
        2,
        [0.8, 0.8, 0.4, 0.4, 0.2, 0.2],
        id="exponential halves every epoch, not every step",
    ),
    pytest.param(
        {"schedule": "cosine", "epochs": 2},
        2,
        # 0.4 (1 + cos(k pi / 4))
        [0.8, 0.6828427, 0.4, 0.1171573],
        id="cosine, by steps",
    ),
    pytest.param(
        {"schedule": "cosine", "epochs": 4, "final_share": 0.25},
        1,
        # 0.2 + 0.3 (1 + cos(k pi / 4))
        [0.8, 0.7121320, 0.5, 0.2878680],
        id="cosine towards a quarter",
    ),
    pytest.param(
        {"schedule": "one_cycle", "epochs": 5},
        2,
        # from 0.8 / 25 over two steps, then 0.4 (1 + cos(k pi / 7))
        [0.032, 0.416, 0.8, 0.7603876, 0.6493959, 0.4890084, 0.3109916, 0.1506041, 0.0396124, 0.0],
        id="one_cycle",
    ),
    pytest.param(
        {"schedule": "one_cycle", "epochs": 10, "final_share": 0.5, "warmup_epochs": 5},
        1,
        # 0.4 + 0.2 (1 + cos(k pi / 7)) on its way down
        [0.032, 0.416, 0.8, 0.7801938, 0.7246980, 0.6445042, 0.5554958, 0.4753020, 0.4198062, 0.4],
        id="one_cycle down to a half, with no warm-up but its own",
    ),
    pytest.param(
        {"schedule": "constant", "epochs": 3, "warmup_epochs": 2},
        2,
        [0.16, 0.32, 0.48, 0.64, 0.8, 0.8],
        id="warm-up rises in equal steps, none of them 0",
    ),
    pytest.param(
        {"schedule": "exponential", "epochs": 4, "decay_factor": 0.5, "warmup_epochs": 1},
        3,
        [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2],
        id="exponential has a whole epoch at the highest rate after a warm-up of whole epochs",
    ),
    pytest.param(
        {"schedule": "step", "epochs": 4, "decay_epochs": 2, "decay_factor": 0.5, "warmup_epochs": 0.5},
        2,
        [0.4, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4],
        id="step counts an epoch of which half is warm-up",
    ),
    pytest.param(
        {"schedule": "cosine", "epochs": 3, "warmup_epochs": 1},
        2,
        [0.8 / 3, 1.6 / 3, 0.8, 0.6828427, 0.4, 0.1171573],
        id="cosine over the steps that the warm-up leaves",
    ),
]


@pytest.mark.parametrize(("told", "steps", "expected"), CURVES)
def test_a_schedule_follows_its_curve(told: dict[str, Any], steps: int, expected: list[float]) -> None:
    assert rates(Settings(learning_rate=0.8, **told), steps=steps) == pytest.approx(expected, abs=1e-7)


# decay_epochs: 2, decay_factor: 0.5 unless told, one step an epoch.
PLATEAUS = [
    pytest.param({}, [5, 4, 3, 2, 1, 0], [0.8] * 6, id="a value that falls is left alone"),
    pytest.param({}, [3, 2, 2, 2, 2, 2, 2], [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2], id="two epochs no better than the best halve"),
    pytest.param({}, [2, 3, 1, 3, 3], [0.8] * 5, id="one bad epoch is forgiven"),
    pytest.param({}, [-0.9, -0.91, -0.92, -0.93], [0.8] * 4, id="an accuracy turned round that rises is left alone"),
    pytest.param({}, [-0.93, -0.929, -0.929, -0.929], [0.8, 0.8, 0.8, 0.4], id="an accuracy that is a little worse is no better"),
    pytest.param({}, [1, math.nan, math.nan, 1], [0.8, 0.8, 0.8, 0.4], id="a value that is no number is no better"),
    pytest.param({"min_delta": 0.5}, [3, 2.6, 2.7, 2.6], [0.8, 0.8, 0.8, 0.4], id="a fall of less than min_delta is no fall"),
    pytest.param({"decay_factor": 1}, [1, 1, 1, 1], [0.8] * 4, id="a factor of 1 decays nothing"),
    pytest.param({"final_share": 0.8}, [1, 1, 1, 1], [0.8, 0.8, 0.8, 0.64], id="no lower than the final share"),
    pytest.param(
        {"warmup_epochs": 2}, [1, 2, 3, 3, 3], [0.8 / 3, 1.6 / 3, 0.8, 0.8, 0.8], id="epochs of the warm-up are not counted"
    ),
]


@pytest.mark.parametrize(("told", "values", "expected"), PLATEAUS)
def test_plateau_decays_when_the_value_has_not_fallen_for_long(
    told: dict[str, Any], values: list[float], expected: list[float]
) -> None:
    settings = Settings(**{"learning_rate": 0.8, "schedule": "plateau", "decay_epochs": 2, "epochs": len(values), **told})
    assert rates(settings, steps=1, values=values) == pytest.approx(expected)


def test_plateau_decays_rates_too_small_for_torchs_own_threshold() -> None:
    settings = Settings(learning_rate=1e-9, schedule="plateau", decay_epochs=1, epochs=3)
    assert rates(settings, steps=1) == pytest.approx([1e-9, 1e-9, 5e-10], abs=1e-15)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_beyond_its_horizon_a_rate_stays_as_it_is(schedule: Any) -> None:
    seen = rates(Settings(schedule=schedule, epochs=3), steps=2, epochs=6)
    assert seen[6:] == [seen[5]] * 6
    assert seen[5] == min(seen)


def test_momentum_stays_as_it_was_set_under_one_cycle() -> None:
    optimizer, schedule = build(Settings(schedule="one_cycle", optimizer="sgd", momentum=0.7), steps=3)
    optimizer.step()
    schedule.step()
    assert {group["momentum"] for group in optimizer.param_groups} == {0.7}


def test_weights_with_and_without_decay_have_the_same_rate() -> None:
    optimizer, schedule = build(Settings(schedule="cosine", weight_decay=0.1, warmup_epochs=1), steps=3)
    for _ in range(10):
        optimizer.step()
        schedule.step()
        assert {group["lr"] for group in optimizer.param_groups} == {schedule.learning_rate}


def test_a_warm_up_as_long_as_the_training_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError) as refused:
        build(Settings(epochs=5, warmup_epochs=5), steps=3)
    assert str(refused.value) == "warmup_epochs: 5 leaves none of the 5 epochs; give fewer than 5"


@some.composite
def trainings(draw: some.DrawFn) -> tuple[Settings, int]:
    epochs = draw(some.integers(1, 8))
    return Settings(
        schedule=draw(some.sampled_from(["constant", "step", "exponential", "cosine", "one_cycle", "plateau"])),
        learning_rate=draw(some.floats(1e-9, 1e3)),
        epochs=epochs,
        warmup_epochs=draw(some.floats(0, epochs, exclude_max=True)),
        decay_epochs=draw(some.integers(1, 4)),
        decay_factor=draw(some.floats(0.01, 1)),
        final_share=draw(some.floats(0, 1)),
    ), draw(some.integers(1, 6))


@hypothesis_settings(deadline=None)
@given(training=trainings())
def test_a_rate_is_never_above_the_learning_rate_and_never_negative(training: tuple[Settings, int]) -> None:
    settings, steps = training
    # A curve that torch computes from step to step rounds at each.
    highest = settings.learning_rate * (1 + 1e-9)
    assert all(0 <= rate <= highest for rate in rates(settings, steps=steps))


@hypothesis_settings(deadline=None)
@given(training=trainings(), data=some.data())
def test_a_resumed_schedule_goes_on_as_if_it_had_not_been_interrupted(
    training: tuple[Settings, int], data: some.DataObject
) -> None:
    settings, steps = training
    total = settings.epochs * steps
    interrupted_after = data.draw(some.integers(0, total - 1))

    def follow(optimizer: optim.Optimizer, schedule: Schedule, first: int) -> Iterator[tuple[float, bytes]]:
        for step in range(first, total):
            saved = BytesIO()
            torch.save({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, saved)
            yield schedule.learning_rate, saved.getvalue()
            optimizer.step()
            schedule.step()
            if (step + 1) % steps == 0:
                schedule.end_epoch(1.0)

    uninterrupted = list(follow(*build(settings, steps=steps), first=0))
    saved = torch.load(BytesIO(uninterrupted[interrupted_after][1]), weights_only=True)
    optimizer, schedule = build(settings, steps=steps)
    optimizer.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])
    resumed = [rate for rate, _ in follow(optimizer, schedule, first=interrupted_after)]
    assert resumed == [rate for rate, _ in uninterrupted[interrupted_after:]]

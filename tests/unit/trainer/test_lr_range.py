"""The range test finds rates between which trainings learn."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from tests.support.trainings import TrialFolder, after_step, interrupt

from tuning_trainer.lr_range import GIVE_UP, HIGHEST, LOWEST, STEPS, rate_of, read


def attempt(trial: TrialFolder, *arguments: str) -> int:
    return trial.attempt(*arguments, "--progress=none", metric="suggested_max", TUNING_ROLE="lr-range")


def falling_from(rate: float, *, to: float, until: float) -> list[float]:
    """Losses of a network that learns above one rate and no more above another, up to where the test gives up."""
    losses = []
    for step in range(STEPS):
        now = rate_of(step)
        if now < rate:
            losses.append(2.3)
        elif now < until:
            losses.append(to + (2.3 - to) * math.log(until / now) / math.log(until / rate))
        else:
            losses.append(to + 5 * math.log(now / until))
    return losses


def test_rates_rise_evenly_from_far_too_low_to_far_too_high() -> None:
    rates = [rate_of(step) for step in range(STEPS)]
    assert rates[0] == pytest.approx(LOWEST)
    assert rates[-1] == pytest.approx(HIGHEST)
    ratios = {round(after / before, 9) for before, after in pairwise(rates)}
    assert len(ratios) == 1


def test_the_highest_rate_is_a_third_of_that_at_which_the_loss_is_near_its_lowest() -> None:
    curve = read(falling_from(1e-4, to=0.2, until=1e-1))
    assert 0.02 <= curve.suggested_max <= 0.09  # the mean lags behind by about ten steps, a factor of two and a half
    assert curve.suggested_min == pytest.approx(curve.suggested_max / 1000)


def test_of_a_loss_that_stays_low_the_first_rate_counts() -> None:
    losses = [2.3 if rate_of(step) < 1e-2 else 0.01 for step in range(STEPS)]
    assert read(losses).suggested_max <= 0.06


@pytest.mark.parametrize(
    "losses",
    [[], [2.3] * STEPS, [2.3 + 0.01 * step for step in range(STEPS)], [2.3], [1.0, 5.0, 25.0]],
    ids=["no finite loss", "a flat loss", "a loss that only rises", "a single step", "a loss that explodes at once"],
)
def test_a_loss_that_no_rate_lowers_suggests_nothing(losses: list[float]) -> None:
    curve = read(losses)
    assert math.isnan(curve.suggested_max)
    assert math.isnan(curve.suggested_min)


LEARNS_AT = {
    "adam": ((), (3e-3, 3e-2)),
    "sgd, which wants more": (("--optimizer=sgd",), (3e-2, 3e-1)),
    "numbers": (("--dataset=diabetes", "--batch-size=32"), (1e-3, 3e-2)),
}


@pytest.mark.parametrize(("arguments", "bounds"), LEARNS_AT.values(), ids=LEARNS_AT.keys())
def test_the_suggested_rates_are_those_that_learn(
    trial: TrialFolder, arguments: tuple[str, ...], bounds: tuple[float, float]
) -> None:
    assert attempt(trial, *arguments) == 0
    result = trial.result()
    assert bounds[0] <= result["suggested_max"] <= bounds[1]
    assert result["suggested_min"] == pytest.approx(result["suggested_max"] / 1000)


def test_the_curve_is_left_in_the_folder(trial: TrialFolder) -> None:
    assert attempt(trial) == 0
    curve = json.loads((trial.path / "output" / "lr_range.json").read_text())
    assert len(curve["rates"]) == len(curve["losses"]) == len(curve["smoothed"]) <= STEPS
    assert all(map(math.isfinite, curve["losses"]))
    assert curve["suggested_max"] == trial.result()["suggested_max"]


def test_it_stops_where_the_loss_has_exploded(trial: TrialFolder) -> None:
    assert attempt(trial) == 0
    smoothed = json.loads((trial.path / "output" / "lr_range.json").read_text())["smoothed"]
    assert len(smoothed) < STEPS
    assert smoothed[-1] > GIVE_UP * min(smoothed)
    assert smoothed[-2] <= GIVE_UP * min(smoothed)


def test_schedule_and_warm_up_do_not_bend_the_rates(trial: TrialFolder) -> None:
    assert attempt(trial) == 0
    plain = (trial.path / "output" / "lr_range.json").read_text()
    assert attempt(trial, "--schedule=one_cycle", "--warmup-epochs=3") == 0
    assert (trial.path / "output" / "lr_range.json").read_text() == plain


def test_an_interrupted_test_begins_anew(trial: TrialFolder) -> None:
    with after_step(7, interrupt):
        assert attempt(trial) == 75
    assert attempt(trial) == 0
    assert trial.result()["suggested_max"] > 0


def test_a_curve_that_cannot_be_written_does_not_cost_the_range(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (trial.path / "output").write_text("no folder")
    assert attempt(trial) == 0
    assert trial.result()["suggested_max"] > 0
    assert "lr_range.json cannot be written: File exists; the range counts all the same" in capsys.readouterr().err

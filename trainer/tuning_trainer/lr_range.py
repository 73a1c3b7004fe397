"""The learning-rate range test: between which rates a study should search (Smith 2017, arXiv 1506.01186).

The rate rises from step to step, far too low at first and far too high in the end. Where the loss is lowest, the rate is
already too high to stay there for long; a fraction of the rate at which it gets there is the highest worth trying.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from tuning_client import Trial
from tuning_trainer.console import say
from tuning_trainer.data import Fold, load_search
from tuning_trainer.files import replacing
from tuning_trainer.scoring import loss_function
from tuning_trainer.session import Session
from tuning_trainer.settings import Settings
from tuning_trainer.state import TrainingState
from tuning_trainer.train import learn, new_state

CURVE_NAME: Final = "lr_range.json"

LOWEST: Final = 1e-7
HIGHEST: Final = 10.0
STEPS: Final = 200
"""Eight decades in steps of a tenth upwards."""

SMOOTHING: Final = 0.9
"""Share of the mean so far in the next: what is seen is the mean of about ten steps, and lags behind by as many."""

GIVE_UP: Final = 4.0
"""Times its best at which the smoothed loss has shown enough."""

BELOW_THE_MINIMUM: Final = 3.0
"""Part of the first rate with a loss near the lowest. Of the rate of the lowest loss itself it would be a tenth, but where
rows are learnt for good the lowest loss comes decades later."""
DECADES: Final = 1e3
"""From the highest rate worth trying down to the lowest: a dozen trials on a logarithmic scale cover three decades, and a
rate below them would need a hundred times the epochs to come as far."""

NEAR: Final = 0.05
"""Share of its whole fall within which the loss counts as being at its minimum."""

LEAST_FALL: Final = 0.05
"""Share by which the loss must fall somewhere for the test to say anything."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What the test saw, step by step, and what follows from it.

    Args:
        rates: of the steps, rising.
        losses: of their batches, before the step.
        smoothed: the losses' exponential mean, free of its bias towards the start.
        suggested_min: lower end of the range that is worth searching; nan where no rate lowered the loss.
        suggested_max: its upper end.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggested_min: float
    suggested_max: float


def find_range(trial: Trial, settings: Settings) -> None:
    """Run the test on the first fold, leave its curve in the output folder, give the trial the range as its result.

    The result's metrics are `suggested_min` and `suggested_max`; nan where no rate lowered the loss. Schedule and
    warm-up are off meanwhile, everything else is as set.

    Raises:
        SystemExit: with code 75: the trial was interrupted. There is no checkpoint, the test begins anew.
        ConfigurationError: a setting is wrong, or does not go with the others or with the data.
    """
    flat = replace(settings, learning_rate=LOWEST, schedule="constant", warmup_epochs=0.0)
    with Session(trial, flat) as session:
        rows = load_search(flat).fold(trial.fold or 0, session.device)
        curve = read(_losses(trial, session, rows, flat))
    if math.isnan(curve.suggested_max):
        say("no learning rate lowered the loss: look at the data, at scaling and at the network first")
    if trial.output_dir:
        _write(trial.output_dir / CURVE_NAME, curve)
    trial.result(suggested_min=curve.suggested_min, suggested_max=curve.suggested_max)


def rate_of(step: int) -> float:
    """The rate of a step, counted from 0."""
    return LOWEST * math.exp(step / (STEPS - 1) * math.log(HIGHEST / LOWEST))


def read(losses: Sequence[float]) -> Curve:
    """What the losses of the steps, each at `rate_of` its number, say."""
    smoothed = _smoothed(losses)
    rates = [rate_of(step) for step in range(len(losses))]
    highest = _highest(rates, smoothed)
    return Curve(
        rates=tuple(rates),
        losses=tuple(losses),
        smoothed=tuple(smoothed),
        suggested_min=_rounded(highest / DECADES),
        suggested_max=_rounded(highest),
    )


def _highest(rates: Sequence[float], smoothed: Sequence[float]) -> float:
    # The first steps' mean is of few batches: it may be low by chance.
    settled = smoothed[round(1 / (1 - SMOOTHING)) :]
    if not settled or min(settled) >= (1 - LEAST_FALL) * settled[0]:
        return math.nan
    # Of a loss that stays near its minimum over decades, as of classes that are told apart for good, the first such rate.
    near_best = min(settled) + NEAR * (settled[0] - min(settled))
    first = next(rate for rate, loss in zip(rates[-len(settled) :], settled, strict=True) if loss <= near_best)
    return first / BELOW_THE_MINIMUM


def _losses(trial: Trial, session: Session, rows: Fold, settings: Settings) -> list[float]:
    """Losses of the steps until the loss explodes or the rates are through; only finite ones."""
    state = new_state(session, settings, rows, validated=False, fold=0)
    loss_of = loss_function(settings, rows.problem, rows.class_weights)
    losses: list[float] = []

    def after_step(state: TrainingState) -> None:
        if trial.interrupted:
            trial.exit_interrupted()
        losses.append(state.loss.mean())
        state.loss.next_epoch()
        if len(losses) == STEPS or _exploded(losses):
            raise _SeenEnoughError
        _set_rate(state, rate_of(len(losses)))

    try:
        while True:
            learn(after_step, settings, state, training=rows.training, loss_of=loss_of)
            state.order.next_epoch()
    except _SeenEnoughError:
        return [loss for loss in losses if math.isfinite(loss)]


class _SeenEnoughError(Exception):
    """Ends the test in the middle of an epoch."""


def _exploded(losses: Sequence[float]) -> bool:
    smoothed = _smoothed(losses)
    return not math.isfinite(smoothed[-1]) or smoothed[-1] > GIVE_UP * min(smoothed)


def _smoothed(losses: Sequence[float]) -> list[float]:
    mean, means = 0.0, []
    for number, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        means.append(mean / (1 - SMOOTHING**number))
    return means


def _set_rate(state: TrainingState, rate: float) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = rate


def _rounded(rate: float) -> float:
    """To one digit, as people write bounds."""
    return float(f"{rate:.0e}")


def _write(path: Path, curve: Curve) -> None:
    try:
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(asdict(curve)) + "\n", encoding="utf-8")
    except OSError as error:
        say(f"the curve {path} cannot be written: {error.strerror or error}; the range counts all the same")

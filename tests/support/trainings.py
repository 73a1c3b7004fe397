"""The trainer run as a trial of a study: its environment, its end, and what it leaves behind."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

import tuning_client
from tuning_trainer import __main__ as trainer

CHECKPOINT = "training.checkpoint"

MEASURED_BY_A_CLOCK = {"seconds", "samples_per_second"}

interrupt = partial(signal.raise_signal, signal.SIGTERM)
"""As Kubernetes does it: to be called while a trial is training."""


@dataclass(frozen=True)
class TrialFolder:
    """Where one trial keeps its result, its reports and its checkpoint, over all its attempts."""

    path: Path

    def environment(
        self, parameters: Mapping[str, object] | None = None, *, seed: int = 0, metric: str = "val_accuracy"
    ) -> dict[str, str]:
        return {
            "TUNING_STUDY": "default/digits",
            "TUNING_TRIAL": "7",
            "TUNING_METRIC": metric,
            "TUNING_PARAMETERS": json.dumps(parameters or {}),
            "TUNING_SEED": str(seed),
            "TUNING_CHECKPOINT_DIR": str(self.path / "checkpoints"),
            "TUNING_OUTPUT_DIR": str(self.path / "output"),
            "TUNING_RESULT_FILE": str(self.path / "result.json"),
        }

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / CHECKPOINT

    def attempt(
        self,
        *arguments: str,
        parameters: Mapping[str, object] | None = None,
        seed: int = 0,
        metric: str = "val_accuracy",
        **environment: str,
    ) -> int:
        """One attempt in this process; its exit code."""
        told = self.environment(parameters, seed=seed, metric=metric) | environment
        with mock.patch.dict(os.environ, told), self._noting_reports():
            try:
                trainer.main(arguments)
            except SystemExit as left:
                return left.code if isinstance(left.code, int) else 1
        return 0

    @contextmanager
    def _noting_reports(self) -> Iterator[None]:
        report = tuning_client.Trial.report

        def noted(trial: tuning_client.Trial, step: int, *, fold: int | None = None, **metrics: float) -> None:
            with (self.path / "reports.jsonl").open("a") as file:
                file.write(json.dumps([fold, step, metrics]) + "\n")
            report(trial, step, fold=fold, **metrics)

        with mock.patch.object(tuning_client.Trial, "report", noted):
            yield

    def result(self) -> dict[str, Any]:
        """The result, without the figures that a clock measured."""
        metrics: dict[str, Any] = json.loads((self.path / "result.json").read_text())
        return {name: value for name, value in metrics.items() if name not in MEASURED_BY_A_CLOCK}

    def reports(self) -> dict[tuple[int | None, int], dict[str, float]]:
        """What every attempt reported by fold and step, the first report of each, without the figures that a clock measured."""
        first: dict[tuple[int | None, int], dict[str, float]] = {}
        for line in (self.path / "reports.jsonl").read_text().splitlines():
            fold, step, metrics = json.loads(line)
            first.setdefault((fold, step), {k: v for k, v in metrics.items() if k not in MEASURED_BY_A_CLOCK})
        return first


@contextmanager
def after_step(number: int, action: Any) -> Iterator[None]:
    """Call `action` right after the optimiser's step of that number, counted from 1."""
    steps = 0

    def count(_optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == number:
            action()

    hook = register_optimizer_step_post_hook(count)
    try:
        yield
    finally:
        hook.remove()


def assert_as_if_never_interrupted(trial: TrialFolder, uninterrupted: TrialFolder) -> None:
    """Both have the same result and made the same reports, to the last bit."""
    assert trial.result() == uninterrupted.result()
    assert trial.reports() == uninterrupted.reports()
    assert all(math.isfinite(value) for metrics in trial.reports().values() for value in metrics.values())
    assert not trial.checkpoint.exists()

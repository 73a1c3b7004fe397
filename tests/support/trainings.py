"""The trainer run as a trial of a study: its environment, its end, and what it leaves behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from tuning_trainer import __main__ as trainer

CHECKPOINT = "training.checkpoint"


@dataclass(frozen=True)
class TrialFolder:
    """Where one trial keeps its result and its checkpoint, over all its attempts."""

    path: Path

    def environment(self, parameters: Mapping[str, object], seed: int) -> dict[str, str]:
        return {
            "TUNING_STUDY": "default/digits",
            "TUNING_TRIAL": "7",
            "TUNING_METRIC": "val_accuracy",
            "TUNING_PARAMETERS": json.dumps(parameters),
            "TUNING_SEED": str(seed),
            "TUNING_CHECKPOINT_DIR": str(self.path / "checkpoints"),
            "TUNING_RESULT_FILE": str(self.path / "result.json"),
        }

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / CHECKPOINT

    def attempt(self, *arguments: str, parameters: Mapping[str, object] | None = None, seed: int = 0) -> int:
        """One attempt in this process; its exit code."""
        with mock.patch.dict(os.environ, self.environment(parameters or {}, seed)):
            try:
                trainer.main(arguments)
            except SystemExit as left:
                return left.code if isinstance(left.code, int) else 1
        return 0

    def result(self) -> dict[str, Any]:
        """The result, without the one figure that a clock measured."""
        metrics: dict[str, Any] = json.loads((self.path / "result.json").read_text())
        metrics.pop("seconds", None)
        return metrics

    def final_state(self) -> dict[str, Any]:
        """The last checkpoint's state, without the one figure that a clock measured."""
        _header, _, rest = self.checkpoint.read_bytes().partition(b"\n")
        checksum_size = 32
        state: dict[str, Any] = torch.load(BytesIO(rest[checksum_size:]), weights_only=True)["state"]
        del state["seconds"]
        return state


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


def differences(left: object, right: object, where: str = "state") -> list[str]:
    """Where two nested states differ, to the bit."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return [] if torch.equal(left, right) else [where]
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = [*left, *(name for name in right if name not in left)]
        return [d for name in names for d in differences(left.get(name), right.get(name), f"{where}.{name}")]
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        return [d for i, pair in enumerate(zip(left, right, strict=True)) for d in differences(*pair, f"{where}[{i}]")]
    return [] if left == right else [where]

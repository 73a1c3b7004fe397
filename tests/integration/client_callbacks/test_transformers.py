"""A real Trainer of transformers as a trial."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integration.client_callbacks.conftest import PRUNE, once_told_to_stop
from tests.unit.client.conftest import MakeTrial
from tests.unit.client.scripted_gateway import ScriptedGateway
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import tuning_client
from tuning_client.transformers import TuningCallback

# Pages of memory are pinned for a GPU that is not there.
pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory")

VALUES = [0.5, 0.7, 0.9, 0.8]
STEPS = 3  # in an epoch
ROWS = [{"input_ids": torch.tensor([row % 5, 1]), "labels": torch.tensor(row % 2)} for row in range(4 * STEPS)]


class Scripted(Trainer):
    """Its accuracy in each epoch is scripted, and so is what happens in a step."""

    def __init__(self, tuning: TuningCallback, folder: Path, at_step: Mapping[int, Callable[[], None]], **settings: Any) -> None:
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=5,
                hidden_size=8,
                num_hidden_layers=1,
                num_attention_heads=1,
                intermediate_size=8,
                max_position_embeddings=4,
            )
        )
        arguments = TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=len(VALUES),
            per_device_train_batch_size=4,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            **{"eval_strategy": "epoch", "save_strategy": "no"} | settings,
        )
        super().__init__(
            model,
            arguments,
            train_dataset=ROWS,
            eval_dataset=ROWS[:4],
            compute_metrics=lambda _: {"accuracy": VALUES[round(self.state.epoch or 0) - 1]},
            callbacks=[tuning],
        )
        self.at_step = at_step
        self.steps: list[int] = []

    def training_step(self, *arguments: Any, **named: Any) -> Any:
        self.steps.append(self.state.global_step)
        self.at_step.get(self.state.global_step, lambda: None)()
        return super().training_step(*arguments, **named)


def train(
    trial: tuning_client.Trial, folder: Path, at_step: Mapping[int, Callable[[], None]] | None = None, **settings: Any
) -> list[int]:
    """The optimiser steps that were made."""
    tuning = TuningCallback(trial, monitor="accuracy")
    trainer = Scripted(tuning, folder, at_step or {}, **settings)
    trainer.train(resume_from_checkpoint=tuning.checkpoint)
    return trainer.steps


def sigterm() -> None:
    signal.raise_signal(signal.SIGTERM)


def test_each_evaluation_is_reported_and_the_last_value_is_the_result(
    make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path, tmp_path: Path
) -> None:
    with make_trial() as trial:
        train(trial, tmp_path)
    assert gateway.points == list(enumerate(VALUES, start=1))
    assert json.loads(result_file.read_text()) == {"val_accuracy": 0.8}


def test_evaluations_by_steps_are_reported_by_steps(make_trial: MakeTrial, gateway: ScriptedGateway, tmp_path: Path) -> None:
    with make_trial() as trial:
        train(trial, tmp_path, eval_strategy="steps", eval_steps=6)
    assert [step for step, _ in gateway.points] == [6, 12]


def test_the_best_value_is_the_result_where_its_weights_are_kept(
    make_trial: MakeTrial, result_file: Path, tmp_path: Path
) -> None:
    keep_best: dict[str, Any] = {"load_best_model_at_end": True, "metric_for_best_model": "accuracy", "save_strategy": "epoch"}
    with make_trial() as trial:
        train(trial, tmp_path, **keep_best)
    assert json.loads(result_file.read_text()) == {"val_accuracy": 0.9}


def test_a_hopeless_trial_ends_pruned(make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path, tmp_path: Path) -> None:
    gateway.answer = lambda _: PRUNE
    with make_trial() as trial:
        train(trial, tmp_path, {STEPS + 1: once_told_to_stop(trial)})
        pytest.fail("train() raises Pruned")
    assert gateway.points == [(1, 0.5)]
    assert json.loads(result_file.read_text()) == {"pruned": True, "val_accuracy": 0.5}


@pytest.mark.parametrize("step", [4, 5], ids=["in the midst of an epoch", "in an epoch's last step"])
def test_an_interrupted_trial_leaves_with_75_and_goes_on_where_it_was(
    make_trial: MakeTrial, gateway: ScriptedGateway, tmp_path: Path, step: int
) -> None:
    with pytest.raises(SystemExit) as left, make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path)) as trial:
        train(trial, tmp_path, {step: sigterm})
    assert left.value.code == tuning_client.INTERRUPTED_EXIT_CODE
    assert [request.path for request in gateway.requests if request.path == "/v1/result"] == []
    trial = make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path))
    assert train(trial, tmp_path) == list(range(step + 1, 12))
    assert gateway.points == list(enumerate(VALUES, start=1))
    assert gateway.requests[-1].body == {"val_accuracy": 0.8}


def test_a_trial_that_is_interrupted_in_its_last_step_is_done(
    make_trial: MakeTrial, gateway: ScriptedGateway, tmp_path: Path
) -> None:
    train(make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path)), tmp_path, {11: sigterm})
    assert gateway.requests[-1].body == {"val_accuracy": 0.8}


def test_a_torn_checkpoint_is_passed_over(make_trial: MakeTrial, tmp_path: Path) -> None:
    for name, files in {
        "checkpoint-9": ["trainer_state.json"],
        "checkpoint-12": [],
        "checkpoint-6": ["trainer_state.json"],
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
    assert TuningCallback(make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path))).checkpoint == str(tmp_path / "checkpoint-9")
    assert TuningCallback(make_trial()).checkpoint is None


def test_it_works_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("TUNING_TRIAL", raising=False)
    with tuning_client.trial() as trial:
        train(trial, tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("step", "result"))]
    assert said == ["step 1: value=0.5", "step 2: value=0.7", "step 3: value=0.9", "step 4: value=0.8", "result: value=0.8"]

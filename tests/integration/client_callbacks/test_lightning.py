"""A real Lightning Trainer as a trial."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from tests.integration.client_callbacks.conftest import PRUNE, SUSPEND, once_told_to_stop
from tests.unit.client.conftest import MakeTrial
from tests.unit.client.scripted_gateway import ScriptedGateway
from torch.utils.data import DataLoader, TensorDataset

import tuning_client
from tuning_client.lightning import TuningCallback

# Lightning's own remarks on tiny trainings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*is deprecated"),
]

VALUES = [0.5, 0.7, 0.9, 0.8]


class Model(LightningModule):
    """Its accuracy in each epoch is scripted."""

    def __init__(self, at_step: dict[int, Callable[[], None]] | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.at_step = at_step or {}
        self.steps: list[int] = []

    def training_step(self, batch: Any, _: int) -> Any:
        self.steps.append(self.global_step)
        self.at_step.get(self.global_step, lambda: None)()
        return self.layer(batch[0]).square().mean()

    def validation_step(self, _: Any, __: int) -> None:
        # Lightning tries validation once before it begins, also where nothing is left to do.
        self.log("accuracy", (*VALUES, 0.1)[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Call(Callback):
    """Something to happen at the end of an epoch's training."""

    def __init__(self, epoch: int, action: Callable[[], None]) -> None:
        self.epoch, self.action = epoch, action

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            self.action()


def fit(tuning: TuningCallback, model: Model, folder: Path, *others: Callback, validation: bool = True) -> None:
    rows = DataLoader(TensorDataset(torch.ones(12, 2)), batch_size=4)  # 3 steps in an epoch
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=len(VALUES),
        callbacks=[*others, tuning],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, rows, rows if validation else None, ckpt_path=tuning.checkpoint)


def sigterm() -> None:
    signal.raise_signal(signal.SIGTERM)


def test_each_epoch_is_reported_and_the_last_value_is_the_result(
    make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path, tmp_path: Path
) -> None:
    with make_trial() as trial:
        fit(TuningCallback(trial, monitor="accuracy"), Model(), tmp_path)
    assert [step for step, _ in gateway.points] == [0, 1, 2, 3]
    assert [value for _, value in gateway.points] == pytest.approx(VALUES)
    assert json.loads(result_file.read_text()) == {"val_accuracy": pytest.approx(0.8)}


def test_the_best_value_is_the_result_where_its_weights_are_kept(
    make_trial: MakeTrial, result_file: Path, tmp_path: Path
) -> None:
    best = ModelCheckpoint(dirpath=tmp_path, monitor="accuracy", mode="max")
    with make_trial() as trial:
        fit(TuningCallback(trial, monitor="accuracy"), Model(), tmp_path, best)
    assert json.loads(result_file.read_text()) == {"val_accuracy": pytest.approx(0.9)}


def test_a_metric_of_training_is_reported_where_nothing_is_validated(
    make_trial: MakeTrial, gateway: ScriptedGateway, tmp_path: Path
) -> None:
    class Logging(Model):
        def on_train_epoch_start(self) -> None:
            self.log("val_accuracy", VALUES[self.current_epoch])

    with make_trial() as trial:
        fit(TuningCallback(trial), Logging(), tmp_path, validation=False)
    assert [value for _, value in gateway.points] == pytest.approx(VALUES)


def test_a_hopeless_trial_ends_like_one_that_stops_early(
    make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path, tmp_path: Path
) -> None:
    gateway.answer = lambda _: PRUNE
    ended: list[int] = []

    class Watch(Callback):
        def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            ended.append(trainer.current_epoch)

    with make_trial() as trial:
        told = Call(1, once_told_to_stop(trial))
        fit(TuningCallback(trial, monitor="accuracy"), Model(), tmp_path, told, Watch())
        pytest.fail("fit() raises Pruned")
    assert ended == [2]
    assert json.loads(result_file.read_text()) == {"pruned": True, "val_accuracy": pytest.approx(0.7)}


@pytest.mark.parametrize(
    ("step", "epoch", "continued_at"),
    [
        pytest.param(4, None, 5, id="in the midst of an epoch, behind the step"),
        pytest.param(5, None, 3, id="in a validation, at the epoch's beginning"),
        pytest.param(None, 1, 6, id="between epochs, at the next one"),
        pytest.param(None, 3, 12, id="after the last epoch, at the result"),
    ],
)
def test_an_interrupted_trial_leaves_with_75_and_goes_on(
    make_trial: MakeTrial,
    gateway: ScriptedGateway,
    tmp_path: Path,
    *,
    step: int | None,
    epoch: int | None,
    continued_at: int,
) -> None:
    first, second = Model({} if step is None else {step: sigterm}), Model()
    with pytest.raises(SystemExit) as left, make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path)) as trial:
        fit(TuningCallback(trial, monitor="accuracy"), first, tmp_path, *([] if epoch is None else [Call(epoch, sigterm)]))
    assert left.value.code == tuning_client.INTERRUPTED_EXIT_CODE
    with make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path)) as trial:
        fit(TuningCallback(trial, monitor="accuracy"), second, tmp_path)
    assert second.steps == list(range(continued_at, 12))
    assert dict(gateway.points) == pytest.approx(dict(enumerate(VALUES)))
    assert gateway.requests[-1].body == {"val_accuracy": pytest.approx(0.8)}
    assert TuningCallback(trial).checkpoint is None, "it is removed once the result is in safe hands"


def test_a_suspended_trial_leaves_to_be_continued(make_trial: MakeTrial, gateway: ScriptedGateway, tmp_path: Path) -> None:
    gateway.answer = lambda _: SUSPEND
    trial = make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path))
    with pytest.raises(SystemExit) as left, trial:
        fit(TuningCallback(trial, monitor="accuracy"), Model({4: once_told_to_stop(trial)}), tmp_path)
    assert left.value.code == tuning_client.INTERRUPTED_EXIT_CODE
    assert TuningCallback(trial).checkpoint == tmp_path / "trial.ckpt"


def test_an_error_of_the_training_stays_one(make_trial: MakeTrial, tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("shapes do not agree")

    with pytest.raises(ValueError, match="shapes"), make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path)) as trial:
        fit(TuningCallback(trial, monitor="accuracy"), Model({2: fail}), tmp_path)
    assert TuningCallback(trial).checkpoint is None


def test_a_run_of_no_epoch_yet_begins_anew(make_trial: MakeTrial, tmp_path: Path) -> None:
    assert TuningCallback(make_trial()).checkpoint is None
    assert TuningCallback(make_trial(TUNING_CHECKPOINT_DIR=str(tmp_path / "not-yet"))).checkpoint is None


def test_it_works_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("TUNING_TRIAL", raising=False)
    with tuning_client.trial() as trial:
        fit(TuningCallback(trial, monitor="accuracy"), Model(), tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("step", "result"))]
    assert said == ["step 0: value=0.5", "step 1: value=0.7", "step 2: value=0.9", "step 3: value=0.8", "result: value=0.8"]

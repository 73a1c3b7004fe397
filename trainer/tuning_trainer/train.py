"""The training loop, from the seed to the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tuning_client import ConfigurationError, Pruned, Trial
from tuning_trainer import data, models, optimizers
from tuning_trainer.checkpoint import CheckpointFile, CheckpointRefusedError
from tuning_trainer.data import Rows
from tuning_trainer.settings import Settings
from tuning_trainer.state import TrainingState

CHECKPOINT_NAME: Final = "training.checkpoint"


def train(trial: Trial, settings: Settings) -> nn.Module:
    """Train as the settings say, report every epoch, give the trial its result.

    The result holds the best epoch's val_accuracy, val_loss and train_loss, best_epoch, epochs, and seconds of training.
    A loss that is not finite ends the training with a val_accuracy of nan. On the CPU equal settings and seed give equal
    results to the last bit, interrupted or not.

    Returns:
        The model with the weights of its best epoch; with its last ones if it diverged.

    Raises:
        Pruned: the study found the trial not worth finishing.
        SystemExit: with code 75, after a checkpoint: the trial was interrupted.
        ConfigurationError: the device that the settings name is not there.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(trial.seed)
    device = _device(settings)
    training, validation, classes = data.load(settings, device)
    model = models.build(settings, features=training.width, classes=classes).to(device)
    optimizer = optimizers.build(settings, model)
    state = TrainingState(model, optimizer, rows=len(training), seed=trial.seed)
    checkpoint = _checkpoint(trial, settings)
    _resume(state, checkpoint)

    while not state.finished(epochs=settings.epochs, patience=settings.patience):
        model.train()
        for batch in state.batches(settings.batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(model(training.features[batch]), training.targets[batch])
            loss.backward()
            optimizer.step()
            state.end_step(batch, loss)

            if trial.should_prune():
                raise Pruned
            if trial.interrupted:
                _save(state, checkpoint)
                trial.exit_interrupted()

        metrics = evaluate(model, validation) | {"train_loss": state.train_loss}
        if not all(math.isfinite(value) for value in metrics.values()):
            return _diverged(trial, state, metrics)
        state.end_epoch(metrics, min_delta=settings.min_delta)
        # Reported before it is saved: a process killed in between repeats the epoch and the report, and loses neither.
        trial.report(state.epoch, **metrics)
        _save(state, checkpoint)

    assert state.best is not None, "the first epoch with finite metrics is the best so far"
    model.load_state_dict(state.best.weights)
    trial.result(**state.best.metrics, best_epoch=state.best.epoch, epochs=state.epoch, seconds=state.seconds)
    return model


@torch.inference_mode()
def evaluate(model: nn.Module, rows: Rows) -> dict[str, float]:
    """Accuracy (share of rows whose largest logit is their class) and mean cross-entropy (nats)."""
    model.eval()
    logits = model(rows.features)
    return {
        "val_accuracy": (logits.argmax(dim=1) == rows.targets).double().mean().item(),
        "val_loss": cross_entropy(logits, rows.targets).item(),
    }


def _device(settings: Settings) -> torch.device:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(
            "--device: 'cuda' was asked for, but torch finds no GPU; ask for trial.gpus: 1 or give --device=auto"
        )
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


def _checkpoint(trial: Trial, settings: Settings) -> CheckpointFile | None:
    if trial.checkpoint_dir is None:
        return None
    return CheckpointFile(trial.checkpoint_dir / CHECKPOINT_NAME, training=asdict(settings) | {"seed": trial.seed})


def _resume(state: TrainingState, checkpoint: CheckpointFile | None) -> None:
    try:
        saved = checkpoint.load() if checkpoint else None
    except CheckpointRefusedError as error:
        _say(f"{error}; training starts anew")
        return
    if saved:
        state.load_state_dict(saved)
        _say(f"continues from its checkpoint after epoch {state.epoch}")


def _save(state: TrainingState, checkpoint: CheckpointFile | None) -> None:
    if checkpoint:
        checkpoint.save(state.state_dict())


def _diverged(trial: Trial, state: TrainingState, metrics: Mapping[str, float]) -> nn.Module:
    name, value = next((name, value) for name, value in metrics.items() if not math.isfinite(value))
    _say(f"diverged: {name} is {value} in epoch {state.epoch + 1}; a lower learning_rate may help")
    trial.result(**{**metrics, "val_accuracy": math.nan}, epochs=state.epoch + 1, seconds=state.seconds)
    return state.model


def _say(sentence: str) -> None:
    sys.stderr.write(f"tuning_trainer: {sentence}\n")

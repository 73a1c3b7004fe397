"""A callback for Lightning.

with tuning_client.trial() as trial:
    tuning = TuningCallback(trial, monitor="val_accuracy")
    trainer = lightning.Trainer(max_epochs=30, callbacks=[tuning])
    trainer.fit(model, data, ckpt_path=tuning.checkpoint)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tuning_client._errors import INTERRUPTED_EXIT_CODE, Pruned
from tuning_client._trial import Trial

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
except ImportError as error:
    raise ImportError("tuning_client.lightning is a callback for Lightning, which is missing; pip install lightning") from error

_CHECKPOINT: Final = "trial.ckpt"
_LAST: Final = "last"


# Lightning calls a `Checkpoint` last: metrics are logged by then, and what else a checkpoint holds is of this epoch.
class TuningCallback(Checkpoint):
    """Reports the monitored metric each epoch, prunes, keeps a checkpoint, and gives the result.

    - The metric is any that the module logs. It is reported as the study's objective.
    - A trial that is not worth finishing ends like one that stops early; then `fit` raises `Pruned`, which ends the
      trial's block.
    - It saves a checkpoint into the trial's `checkpoint_dir` after each epoch, and on SIGTERM and when the study is
      suspended, which end the process with exit code 75. `fit(..., ckpt_path=tuning.checkpoint)` goes on from there. The
      checkpoint is removed once the result is in safe hands.
    - The result is the best value where a `ModelCheckpoint` monitors the same metric, since its weights are those that
      are kept, otherwise the last one.
    - Of several processes only the first reports.
    """

    def __init__(self, trial: Trial, *, monitor: str | None = None) -> None:
        """Monitor a metric by the name under which it is logged; without one, the study's objective."""
        self._trial = trial
        self._monitor = monitor or trial.metric
        self._last: float | None = None
        self._validated = False

    @property
    def checkpoint(self) -> Path | None:
        """The newest checkpoint of the trial's earlier attempts, those of a `ModelCheckpoint` included; None: begin anew."""
        folder = self._trial.checkpoint_dir
        return max(folder.glob("*.ckpt"), key=lambda file: file.stat().st_mtime, default=None) if folder else None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that the metric is of this epoch."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and ask whether to go on."""
        value = trainer.callback_metrics.get(self._monitor)
        if value is not None and (self._validated or not trainer.enable_validation):
            self._last = float(value)
            if trainer.is_global_zero:
                self._trial.report(trainer.current_epoch, self._last)
        self._validated = False
        trainer.should_stop |= trainer.strategy.broadcast(self._trial.should_prune())
        self._save(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Leave when the study is suspended; what SIGTERM asks for, Lightning does itself."""
        if self._trial.interrupted and trainer.world_size == 1:
            raise SystemExit(INTERRUPTED_EXIT_CODE)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save before an interrupted trial leaves. Lightning leaves on SIGTERM with exit code 0, which would be a success."""
        if not (isinstance(exception, SystemExit) and self._trial.interrupted):
            return
        exception.code = INTERRUPTED_EXIT_CODE
        # Out of the midst of a validation Lightning would go on behind it, and the epoch's value would be lost.
        if trainer.training:
            self._save(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the result, or say that the trial was pruned."""
        if trainer.strategy.broadcast(self._trial.should_prune()):
            raise Pruned
        if trainer.is_global_zero and self._trial.result(self._best(trainer)) and self._trial.checkpoint_dir:
            (self._trial.checkpoint_dir / _CHECKPOINT).unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the last value, for a trial that is interrupted after its last epoch."""
        return {_LAST: self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._last = state_dict[_LAST]

    def _save(self, trainer: Trainer) -> None:
        if self._trial.checkpoint_dir:
            trainer.save_checkpoint(self._trial.checkpoint_dir / _CHECKPOINT)

    def _best(self, trainer: Trainer) -> float | None:
        for kept in trainer.checkpoint_callbacks:
            if isinstance(kept, ModelCheckpoint) and kept.monitor == self._monitor and kept.best_model_score is not None:
                return float(kept.best_model_score)
        return self._last

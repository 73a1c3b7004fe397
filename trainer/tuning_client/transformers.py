"""A callback for the Trainer of Hugging Face's transformers.

with tuning_client.trial() as trial:
    tuning = TuningCallback(trial, monitor="eval_accuracy")
    arguments = TrainingArguments(output_dir=trial.checkpoint_dir or "out", eval_strategy="epoch")
    trainer = Trainer(model, arguments, ..., callbacks=[tuning])
    trainer.train(resume_from_checkpoint=tuning.checkpoint)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from tuning_client._errors import Pruned
from tuning_client._trial import Trial

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise ImportError(
        "tuning_client.transformers is a callback for Hugging Face's Trainer, which is missing; pip install transformers[torch]"
    ) from error

_NONE: Final[Mapping[str, float]] = MappingProxyType({})


class TuningCallback(TrainerCallback):
    """Reports the monitored metric at each evaluation, prunes, saves a checkpoint when interrupted, and gives the result.

    - The metric is any of an evaluation, with or without its prefix ``eval_``. It is reported as the study's objective.
    - A trial that is not worth finishing stops training; then `train` raises `Pruned`, which ends the trial's block.
    - On SIGTERM, and when the study is suspended, the Trainer saves a checkpoint into its `output_dir` and leaves with exit
      code 75. With the trial's `checkpoint_dir` as `output_dir`, `train(resume_from_checkpoint=tuning.checkpoint)` goes on
      from there.
    - The result is the best value with `load_best_model_at_end`, since its weights are those that are kept, otherwise the
      last one.
    - Of several processes only the first reports.
    """

    def __init__(self, trial: Trial, *, monitor: str | None = None) -> None:
        """Monitor a metric of the evaluations; without a name, the study's objective."""
        self._trial = trial
        self._monitor = _prefixed(monitor or trial.metric)

    @property
    def checkpoint(self) -> str | None:
        """The newest complete checkpoint of the trial's earlier attempts; None: begin anew."""
        folder = self._trial.checkpoint_dir
        # The state is what the Trainer writes last; a checkpoint without one is torn.
        complete = [state.parent for state in folder.glob("checkpoint-*/trainer_state.json")] if folder else []
        newest = max(complete, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), default=None)
        return str(newest) if newest else None

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        metrics: Mapping[str, float] = _NONE,
        **_: Any,
    ) -> None:
        """Report: by epochs, or by optimiser steps where these are what evaluations go by."""
        value = metrics.get(self._monitor)
        if value is not None and state.is_world_process_zero:
            self._trial.report(state.global_step if args.eval_strategy == "steps" else round(state.epoch or 0), value)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask whether to go on."""
        if self._trial.should_stop():
            control.should_training_stop = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Save what is to be continued. The Trainer comes here also from the midst of an epoch, whose value would be none."""
        if self._trial.should_stop():
            control.should_training_stop = True
            control.should_evaluate &= state.epoch == round(state.epoch or 0)
            control.should_save |= self._trial.interrupted

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Give the result, or leave: for good, or to be continued."""
        if state.global_step < state.max_steps and self._trial.should_prune():
            raise Pruned
        if state.global_step < state.max_steps and self._trial.interrupted:
            self._trial.exit_interrupted()
        if state.is_world_process_zero:
            self._trial.result(self._best(args, state))

    def _best(self, args: TrainingArguments, state: TrainerState) -> float | None:
        if args.load_best_model_at_end and _prefixed(args.metric_for_best_model or "loss") == self._monitor:
            return state.best_metric
        return next((entry[self._monitor] for entry in reversed(state.log_history) if self._monitor in entry), None)


def _prefixed(metric: str) -> str:
    """As an evaluation names it."""
    return "eval_" + metric.removeprefix("eval_")

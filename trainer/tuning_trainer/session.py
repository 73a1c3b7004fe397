"""A run of the trainer as the study sees it: it is followed, asked to leave, killed, and goes on where it was."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Self

from tuning_client import Pruned, Trial
from tuning_trainer import machine, outcome
from tuning_trainer.checkpoint import CheckpointFile, CheckpointRefusedError
from tuning_trainer.console import say
from tuning_trainer.outcome import Outcome
from tuning_trainer.progress import Stretch, follower
from tuning_trainer.settings import Settings
from tuning_trainer.state import TrainingState

CHECKPOINT_NAME: Final = "training.checkpoint"

_BESIDE_THE_TRAINING: Final = frozenset({"checkpoint_seconds", "progress", "tensorboard", "workers"})
"""Settings without which a training would have the same result."""

_DIGITS_SHOWN: Final = 16
"""Of the data's fingerprint, which people see when a checkpoint is refused."""

_SUPERSEDED: Final = "superseded"  # of the client's reasons to stop


class Session:
    """What stands between a training and the outside: checkpoints, reports, whoever follows, and requests to leave.

    Its checkpoint holds the outcomes of finished folds, which are never trained again, and the state of the fold under
    way.

    Args:
        trial: as which the process runs.
        settings: of the training.
        clock: in seconds, for the time between checkpoints.

    Raises:
        ConfigurationError: the device is not there, or event files have no folder.
    """

    def __init__(self, trial: Trial, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.trial = trial
        self.device = machine.prepare(settings)
        self.finished: dict[int, Outcome] = {}
        self._settings = settings
        self._clock = clock
        self._gauge = machine.Gauge(self.device)
        self._follower = follower(settings, trial, terminal=sys.stderr, log=sys.stdout)
        self._checkpoint: CheckpointFile | None = None
        self._fold = 0
        self._told_unwritable = False
        self._under_way: Mapping[str, Any] | None = None  # state of the fold in which the last attempt was interrupted
        self._next_save = clock() + settings.checkpoint_seconds

    @property
    def one_of_several(self) -> bool:
        """Whether what is trained is one fold of several."""
        return self._settings.folds > 1

    def resume(self, fingerprint: Callable[[], str]) -> None:
        """Keep checkpoints from now on, and go on from the last one if it is of this training and these rows.

        Args:
            fingerprint: of all rows that are learnt from, as a hexadecimal digest; asked for where checkpoints are kept.
        """
        if self.trial.checkpoint_dir is None:
            return
        training = _identity(self.trial, self._settings, fingerprint())
        self._checkpoint = CheckpointFile(self.trial.checkpoint_dir / CHECKPOINT_NAME, training=training)
        try:
            saved = self._checkpoint.load()
        except CheckpointRefusedError as error:
            say(f"{error}; training starts anew")
            return
        except OSError as error:
            say(f"checkpoint {self._checkpoint} cannot be read: {error.strerror or error}; training starts anew")
            return
        if saved:
            self.finished = {fold: Outcome.from_state(state) for fold, state in saved["finished"].items()}
            self._fold, self._under_way = saved["fold"], saved["state"]

    def begin(self, fold: int, state: TrainingState, *, epochs: int) -> None:
        """Begin a fold, or continue it where the last attempt left it.

        What its epochs reported is reported again: a process that was killed may not have sent it, and of two reports
        for one step the first counts.

        Args:
            fold: from 0.
            state: as the training begins; it is brought to where the training was.
            epochs: that the training has at most.
        """
        saved, self._under_way = self._under_way, None
        if saved is not None and self._fold == fold:
            if _of_this_network(saved, state):
                state.load_state_dict(saved)
                say(f"continues from its checkpoint after epoch {state.epoch}")
            else:
                say(f"checkpoint {self._checkpoint} is of a network of another shape; this fold starts anew")
        self._fold = fold
        numbered = fold if self.one_of_several else None
        steps = state.order.steps_per_epoch
        self._follower.begin(
            Stretch(fold=numbered, epochs=epochs, steps=steps, done=state.epoch * steps + state.order.steps_done)
        )
        for epoch, metrics in enumerate(state.history.metrics, start=1):
            self._report(epoch, metrics)

    def after_step(self, state: TrainingState) -> None:
        """See to everything that may be due after a step of the optimiser; see `pause`."""
        self._follower.step()
        self.pause(state)

    def pause(self, state: TrainingState) -> None:
        """Leave if the study wishes, and save if it is time. Costs a microsecond when nothing is due.

        Raises:
            Pruned: the rest of the training would not count.
            SystemExit: with code 75, after a checkpoint: the trial was interrupted.
        """
        if self.trial.should_prune():
            raise Pruned
        if self.trial.interrupted:
            self._save(state)
            self.trial.exit_interrupted()
        if self._clock() >= self._next_save:
            self._save(state)

    def end_epoch(self, state: TrainingState, metrics: Mapping[str, float], *, rows_per_second: float) -> None:
        """Report an epoch that the state has counted, and see `pause`.

        Reported before it is saved: a process killed in between repeats the epoch and the report, and loses neither.

        Args:
            state: after the epoch.
            metrics: what the study may have as its objective.
            rows_per_second: that were learnt from.
        """
        epoch = state.history.epochs[-1]
        telemetry = {"learning_rate": epoch.learning_rate, "samples_per_second": rows_per_second, **self._gauge.read()}
        if epoch.gradient_norm_median is not None:
            telemetry["gradient_norm"] = epoch.gradient_norm_median
        self._follower.epoch(state.epoch, {**metrics, **telemetry})
        self._report(state.epoch, {**metrics, **telemetry})
        self.pause(state)

    def _report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        with self._follower.aside():
            self.trial.report(epoch, fold=self._fold if self.one_of_several else None, **metrics)

    def finish(self, fold: int, ended: Outcome) -> None:
        """Keep a fold's outcome; it is not trained again."""
        self._follower.close()
        self.finished[fold] = ended
        self._save(None)

    def _save(self, state: TrainingState | None) -> None:
        if self._checkpoint:
            finished = {fold: ended.state_dict() for fold, ended in self.finished.items()}
            try:
                self._checkpoint.save({"finished": finished, "fold": self._fold, "state": state.state_dict() if state else None})
                self._told_unwritable = False
            except OSError as error:
                if not self._told_unwritable:
                    why = error.strerror or error
                    say(f"checkpoint {self._checkpoint} cannot be written: {why}; what comes after the last one is not kept")
                self._told_unwritable = True
        # From its end: a disk slower than the pace would leave no time to train.
        self._next_save = self._clock() + self._settings.checkpoint_seconds

    def give_result(self) -> None:
        """Give the trial what the finished folds say together. Once that is in safe hands the checkpoint is removed."""
        ended = list(self.finished.values())
        diagnoses, warnings = outcome.diagnoses(ended), outcome.warnings(ended)
        if not self.trial.by_hand:  # then the client says it
            for diagnosis in diagnoses:
                say(f"{diagnosis.name}: {diagnosis.sentence}")
        for warning in warnings:
            say(warning)
        with self._follower.aside():
            kept = self.trial.result(
                diagnoses=diagnoses,
                notes={"message": " ".join(warnings)} if warnings else {},
                **outcome.summary(self.finished, self.trial.metric),
            )
        if kept:
            self.remove_checkpoint()

    def remove_checkpoint(self) -> None:
        """Nobody will need it again."""
        if self._checkpoint:
            try:
                self._checkpoint.remove()
            except OSError as error:
                say(f"checkpoint {self._checkpoint} cannot be removed: {error.strerror or error}; remove it by hand")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._follower.close()
        # An attempt that a newer one has replaced shares the folder with it.
        if isinstance(error, Pruned) and self.trial.stop_reason != _SUPERSEDED:
            self.remove_checkpoint()


def _of_this_network(saved: Mapping[str, Any], state: TrainingState) -> bool:
    """Whether a saved state is of a network like this one, which a user's own code may have changed."""
    weights, known = state.model.state_dict(), saved["model"]
    return weights.keys() == known.keys() and all(weight.shape == known[name].shape for name, weight in weights.items())


def _identity(trial: Trial, settings: Settings, fingerprint: str) -> dict[str, Any]:
    """What makes a training this one and no other."""
    told = {name: value for name, value in asdict(settings).items() if name not in _BESIDE_THE_TRAINING}
    own = {"seed": trial.seed, "role": trial.role, "fold": trial.fold, "final_epochs": trial.final_epochs}
    return {**told, **own, "data": fingerprint[:_DIGITS_SHOWN]}

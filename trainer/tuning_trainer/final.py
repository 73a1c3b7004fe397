"""The final evaluation of a study's choice: trained on all rows of the search, then tested, once.

Early stopping is off, since no rows validate: the training goes on for as many epochs as the study says, on the
learning-rate curve of the search. The test rows are read after the last step of the optimiser, so that nothing of the
training can depend on them.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tuning_client import ConfigurationError, Trial
from tuning_trainer import saved_model
from tuning_trainer.console import say
from tuning_trainer.data import FinalData, Problem, TestRows, load_final
from tuning_trainer.files import replacing
from tuning_trainer.outcome import Outcome
from tuning_trainer.precision import Precision
from tuning_trainer.scoring import answers, scores
from tuning_trainer.session import Session
from tuning_trainer.settings import Settings
from tuning_trainer.train import fit

SCORES_NAME: Final = "test_scores.npz"

_ROOM_FOR_SCORES: Final = 2_400
"""Characters of the result that scores by row may take; it has room for 4,096 bytes in all."""

Numbers = npt.NDArray[Any]


def evaluate_final(trial: Trial, settings: Settings) -> None:
    """Train on the training and validation rows, test the model, leave it in the output folder, give the trial its result.

    The result holds the metrics of the test rows (`test_accuracy` and so on), `test_rows`, their number, and the notes
    `test_fingerprint`, equal for equal test rows in equal order, and `test_scores`, see `Evaluation.notes`. The output
    folder holds the model (`saved_model`) and the scores of every row, whatever their number, in `test_scores.npz`. Where
    it cannot be written, the result's message says so, and the result counts all the same.

    Raises:
        Pruned: the study found the trial not worth finishing.
        SystemExit: with code 75, after a checkpoint: the trial was interrupted.
        ConfigurationError: the study does not say for how many epochs, there are no test rows, or a setting is wrong.
    """
    if trial.final_epochs is None:
        raise ConfigurationError(
            "TUNING_FINAL_EPOCHS is missing, and without validation rows nothing else says when to stop;"
            " set it to the epochs that the best trials needed, such as 20"
        )
    with Session(trial, settings) as session:
        data = load_final(settings, session.device)
        session.resume(data.fingerprint)
        model, ended = fit(session, settings, data, validation=None, epochs=trial.final_epochs)
        evaluation = _not_evaluated(trial, ended) if ended.diverged else _evaluated(model, data, data.test())
        remarks = {} if ended.diverged or trial.output_dir is None else _leave(trial.output_dir, model, data, evaluation)
    metrics = {**evaluation.metrics, **ended.metrics, "epochs": ended.epochs, "seconds": ended.seconds}
    if trial.result(diagnoses=ended.diagnoses, notes={**remarks, **evaluation.notes(trial.metric)}, **metrics):
        session.remove_checkpoint()


@dataclass(frozen=True)
class Evaluation:
    """What a model made of the test rows.

    Args:
        metrics: of all rows together, and `test_rows`, their number.
        fingerprint: of the rows; empty where they were not read.
        by_row: by name, one number for each row, in the order of the rows: `target` and `prediction` (numbers in the
            target's own units, or numbers of classes), and what metrics are means of: `correct` and `loss`, or
            `squared_error` and `absolute_error`.
    """

    metrics: Mapping[str, float]
    fingerprint: str
    by_row: Mapping[str, Numbers]

    def notes(self, metric: str) -> dict[str, str]:
        """Notes of the result: the fingerprint and, where there is room, the scores by row that pairing this metric needs.

        `test_scores` is `correct:bits:` and a bitmap, the first row the highest bit of the first byte; or the name of a
        score, `:float32:` and its numbers, little-endian. Both in base64.
        """
        if not self.by_row:
            return {}
        name = _compared(metric, self.by_row)
        values = self.by_row[name]
        kind, content = ("bits", np.packbits(values.astype(np.bool_))) if name == "correct" else ("float32", values.astype("<f4"))
        text = f"{name}:{kind}:{base64.b64encode(content.tobytes()).decode()}"
        scores_by_row = {"test_scores": text} if len(text) <= _ROOM_FOR_SCORES else {}
        return {"test_fingerprint": self.fingerprint, **scores_by_row}


def _compared(metric: str, by_row: Mapping[str, Numbers]) -> str:
    """Of which scores a metric is the mean, or a function of it."""
    match metric.rpartition("_")[2]:
        case "loss" if "loss" in by_row:
            return "loss"
        case "mae":
            return "absolute_error"
        case _:
            return "correct" if "correct" in by_row else "squared_error"


def _not_evaluated(trial: Trial, ended: Outcome) -> Evaluation:
    say(f"diverged in epoch {ended.epochs}: the test rows stay unread; a lower learning_rate may help")
    return Evaluation({trial.metric: math.nan}, fingerprint="", by_row={})


def _evaluated(model: nn.Module, data: FinalData, rows: TestRows) -> Evaluation:
    precision, batch_size = Precision(data.settings, data.device), data.settings.batch_size
    gathered = scores(data.problem, data.target_scale)
    parts: list[Mapping[str, Tensor]] = []
    for outputs, targets in answers(model, rows.source, batch_size=batch_size, autocast=precision.autocast):
        gathered.add(outputs, targets)
        parts.append(_scores_by_row(outputs.float(), targets, data.problem, data.target_scale))
    by_row = {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}
    return Evaluation({**gathered.metrics("test"), "test_rows": rows.rows}, rows.fingerprint, by_row)


def _scores_by_row(outputs: Tensor, targets: Tensor, problem: Problem, target_scale: tuple[float, float]) -> Mapping[str, Tensor]:
    if problem.task == "classification":
        named = outputs.argmax(dim=1)
        loss = cross_entropy(outputs, targets, reduction="none")
        return {"target": targets, "prediction": named, "correct": named == targets, "loss": loss}
    mean, deviation = target_scale
    predictions, wanted = outputs.squeeze(1).double() * deviation + mean, targets.double() * deviation + mean
    errors = predictions - wanted
    return {"target": wanted, "prediction": predictions, "squared_error": errors.square(), "absolute_error": errors.abs()}


def _leave(folder: Path, model: nn.Module, data: FinalData, evaluation: Evaluation) -> dict[str, str]:
    """Leave the scores by row and the model in the folder; notes for the result.

    A folder that cannot be written costs the model, which can be trained again, but not the test, which must not be
    made twice.
    """
    try:
        with replacing(folder / SCORES_NAME) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **evaluation.by_row)
        saved_model.save(
            folder,
            model,
            settings=data.settings,
            problem=data.problem,
            preparation_state=data.preparation.state(),
            target_scale=data.target_scale,
            metrics=evaluation.metrics,
        )
    except OSError as error:
        remark = f"the test counts, but the model is not saved: {folder} cannot be written ({error.strerror or error})"
        say(f"{remark}; mend the output folder and train it again")
        return {"message": remark}
    return {}

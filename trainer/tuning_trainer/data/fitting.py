"""All that is learnt from training rows before a network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tuning_client import ConfigurationError
from tuning_trainer.data import targets
from tuning_trainer.data.preparation import Preparation
from tuning_trainer.data.problem import Problem
from tuning_trainer.data.rows import Rows, Spread
from tuning_trainer.data.sources import Source, open_source
from tuning_trainer.data.targets import Codes, Target
from tuning_trainer.settings import Settings

WIDE_SPREAD: Final = 100.0
"""Times that one feature may be larger than another before leaving them unscaled is warned of."""

RARE: Final = 10.0
"""Times that a class may be rarer than the commonest before that is warned of."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What training rows alone decide.

    Args:
        problem: shape and answers of the rows. The number of features can differ from fold to fold: each category of a
            fold's training rows is a feature.
        preparation: from raw rows to inputs.
        target_scale: mean and deviation by which a regression's targets are standardised; (0, 1) for classes.
        class_weights: (classes,) float32 on the device, when they were asked for.
        chance_loss: what the best constant answer costs on the training rows, as the loss function counts it with these
            settings: with plain classes the entropy of their shares (nats), else the variance of the standardised target.
        spread: largest and smallest feature of a table that is left unscaled.
        warnings: sentences about the data that the result should repeat.
    """

    problem: Problem
    preparation: Preparation
    target_scale: tuple[float, float]
    class_weights: Tensor | None
    chance_loss: float
    spread: Spread | None
    warnings: tuple[str, ...]

    def source(self, rows: Rows, settings: Settings, device: torch.device) -> Source:
        """Rows, these or others, as inputs and targets for the loss.

        Raises:
            ConfigurationError: a feature or target is too large for that.
        """
        if self.problem.task == "classification":
            answers = torch.from_numpy(rows.targets)
        else:
            mean, deviation = self.target_scale
            with np.errstate(over="ignore"):
                answers = torch.from_numpy(((rows.targets - mean) / deviation).astype(np.float32))
            _refuse_large_answers(rows, settings, usable=bool(answers.isfinite().all()))
        prepared = rows.prepared(self.preparation, answers)
        return open_source(prepared, device, loading=settings.loading, workers=settings.workers)


def fit(rows: Rows, target: Target, settings: Settings, device: torch.device) -> Fitted:
    """Everything that these training rows decide.

    Raises:
        ConfigurationError: weights of classes were asked for, and there are no classes; or a column holds numbers that are
            too large.
    """
    preparation = rows.fit(settings.scaling)
    problem = Problem(target.task, preparation.input_shape, target.outputs, target.class_names)
    spread = rows.spread() if settings.scaling == "none" else None
    warnings = _about_scales(spread)
    if target.task == "regression":
        if settings.class_weights != "none":
            raise ConfigurationError(
                f"--class-weights: '{settings.class_weights}' needs classes, and the target holds numbers; give none"
            )
        with np.errstate(all="ignore"):
            mean, deviation = targets.standardisation(rows.targets.astype(np.float64))
        _refuse_large_answers(rows, settings, usable=bool(np.isfinite([mean, deviation]).all()))
        chance_loss = float((rows.targets.std() / deviation) ** 2)
        return Fitted(
            problem=problem,
            preparation=preparation,
            target_scale=(mean, deviation),
            class_weights=None,
            chance_loss=chance_loss,
            spread=spread,
            warnings=warnings,
        )
    classes = rows.targets.astype(np.int64)
    balanced = settings.class_weights == "balanced"
    if not balanced:
        warnings += _about_rare_classes(classes, target)
    weights = targets.balanced_weights(classes, target.outputs) if balanced else np.ones(target.outputs)
    return Fitted(
        problem=problem,
        preparation=preparation,
        target_scale=(0.0, 1.0),
        class_weights=torch.from_numpy(weights.astype(np.float32)).to(device) if balanced else None,
        chance_loss=targets.constant_cost(classes, weights, smoothing=settings.label_smoothing),
        spread=spread,
        warnings=warnings,
    )


def _refuse_large_answers(rows: Rows, settings: Settings, *, usable: bool) -> None:
    if not usable:
        raise ConfigurationError(
            f"--target: '{settings.target}' holds numbers as large as {np.abs(rows.targets).max():.4g}, too large to be learnt; "
            "correct them, or predict their logarithms"
        )


def _about_rare_classes(classes: Codes, target: Target) -> tuple[str, ...]:
    counts = np.bincount(classes, minlength=target.outputs)
    rarest, commonest = int(counts.argmin()), int(counts.argmax())
    least, most = int(counts[rarest]), int(counts[commonest])
    if most <= RARE * least:
        return ()
    sentence = (
        f"class '{target.class_names[rarest]}' has {least / len(classes):.2%} of the training rows, "
        f"class '{target.class_names[commonest]}' {most / len(classes):.2%}: an accuracy hardly hears of the rare one; "
        "take val_balanced_accuracy as the objective, and try --class-weights=balanced"
    )
    return (sentence,)


def _about_scales(spread: Spread | None) -> tuple[str, ...]:
    if spread is None or spread.ratio <= WIDE_SPREAD:
        return ()
    (largest, most), (smallest, least) = spread.largest, spread.smallest
    sentence = (
        f"--scaling: 'none' leaves features that differ {spread.ratio:.4g} times in scale: '{largest}' reaches {most:.4g}, "
        f"'{smallest}' only {least:.4g}; --scaling=standard brings them to one"
    )
    return (sentence,)

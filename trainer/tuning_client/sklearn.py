"""Cross-validation of a scikit-learn estimator, fold by fold.

    with tuning_client.trial() as trial:
        forest = RandomForestClassifier(max_depth=trial.param("max_depth", 8), random_state=trial.seed)
        cross_val_score(trial, forest, X, y, cv=5, scoring="balanced_accuracy")

Estimators that learn in steps need no more than the trial itself:

    with tuning_client.trial() as trial:
        model = SGDClassifier(alpha=trial.param("alpha", 1e-4), random_state=trial.seed)
        for epoch in range(30):
            model.partial_fit(X_train, y_train, classes=classes)
            trial.report(epoch, model.score(X_val, y_val))
            if trial.should_stop():
                raise tuning_client.Pruned  # or to be run again, where it was interrupted
        trial.result(model.score(X_val, y_val))
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from tuning_client._errors import ConfigurationError, Pruned
from tuning_client._trial import Trial

try:
    from sklearn.base import is_classifier
    from sklearn.model_selection import check_cv
    from sklearn.model_selection import cross_val_score as scores_of
except ImportError as error:
    raise ImportError("tuning_client.sklearn needs scikit-learn, which is missing; pip install scikit-learn") from error


def cross_val_score(
    trial: Trial,
    estimator: Any,
    X: Any,  # noqa: N803 - scikit-learn's name
    y: Any = None,
    *,
    groups: Any = None,
    cv: Any = None,
    scoring: str | Callable[..., float] | None = None,
) -> list[float]:
    """The score of each fold, as scikit-learn's function of this name computes it; reported, and given as the trial's result.

    Each fold's score is reported as the fold's, so that a pruner compares equal folds. The result is the mean over the folds;
    with ``_stddev`` and ``_fold_0``, ``_fold_1`` ... behind the metric's name stand their standard deviation (n - 1) and each
    fold's value. A trial that runs one fold only (`Trial.fold`) has its value alone.

    Args:
        trial: this one.
        estimator: with `fit`; each fold fits a clone of it.
        X: features; a row for each example.
        y: targets.
        groups: of the examples, for splitters that keep groups together.
        cv: number of folds, a splitter, or splits; None: as many folds as the study asks for, or else scikit-learn's default.
            It must split alike each time that it is asked.
        scoring: name of a scorer, or ``scorer(estimator, X, y)``; None: the estimator's own score.

    Raises:
        Pruned: the trial is not worth finishing; it ends the trial's block.
        ConfigurationError: there is no fold of the number that the trial is to run.
    """
    splits = list(check_cv(trial.folds if cv is None else cv, y, classifier=is_classifier(estimator)).split(X, y, groups))
    if trial.fold is not None and trial.fold >= len(splits):
        raise ConfigurationError(f"TUNING_FOLD is {trial.fold}, but there are {len(splits)} folds; the last is {len(splits) - 1}")
    chosen = range(len(splits)) if trial.fold is None else [trial.fold]
    scores: list[float] = []
    for fold in chosen:
        if trial.interrupted:
            trial.exit_interrupted()
        if trial.should_prune():
            raise Pruned
        scores.extend(map(float, scores_of(estimator, X, y, scoring=scoring, cv=[splits[fold]], error_score="raise")))
        trial.report(0, scores[-1], fold=fold)
    trial.result(**_figures(trial.metric, scores))
    return scores


def _figures(metric: str, scores: list[float]) -> dict[str, Any]:
    if len(scores) == 1:
        return {metric: scores[0]}
    folds = {f"{metric}_fold_{fold}": score for fold, score in enumerate(scores)}
    return {metric: statistics.fmean(scores), f"{metric}_stddev": statistics.stdev(scores), **folds}

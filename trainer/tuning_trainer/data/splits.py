"""Which rows train and which validate: the same for every trial of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, assert_never

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)

from tuning_client import ConfigurationError
from tuning_trainer.data.rows import RowNumbers, Rows
from tuning_trainer.data.targets import Target
from tuning_trainer.settings import Settings

Method = Literal["stratified", "shuffled", "grouped", "time"]

_LEAST_OF_A_CLASS: Final = 2  # one row to learn from, one to validate


class Split(NamedTuple):
    """Numbers of the rows that train and of those that validate."""

    training: RowNumbers
    validation: RowNumbers


def splits(rows: Rows, target: Target, settings: Settings) -> tuple[Split, ...]:
    """One split, or one for each of `settings.folds`; they depend on `settings.split_seed` and on nothing else random.

    Each row validates in exactly one fold; split by time, the first of them never do, and no fold trains on later rows
    than it validates on.

    Raises:
        ConfigurationError: there are too few rows, groups or rows of a class, or the settings contradict each other.
    """
    method = _method(rows, target, settings)
    count = len(rows.targets)
    if settings.folds > count:
        raise ConfigurationError(f"--folds: {settings.folds} is more than the {count} rows; give --folds={count} or fewer")
    if count < _LEAST_OF_A_CLASS:
        raise ConfigurationError(f"--path: {count} rows cannot be split into rows that train and rows that validate; give more")
    _refuse_few_groups(rows, settings)
    if target.task == "classification" and method in ("stratified", "grouped"):
        _refuse_rare_classes(rows, target, settings)
    made = tuple(_folds(method, rows, target, settings) if settings.folds > 1 else [_single(method, rows, settings)])
    if target.task == "classification":
        _refuse_lost_classes(made, rows, target)
    return made


def _method(rows: Rows, target: Target, settings: Settings) -> Method:
    if settings.split == "auto":
        if rows.groups is not None:
            return "grouped"
        return "stratified" if target.task == "classification" else "shuffled"
    if settings.split == "grouped" and rows.groups is None:
        raise ConfigurationError("--split: 'grouped' needs the column of the groups; give --group, or --split=auto")
    if settings.split != "grouped" and rows.groups is not None:
        raise ConfigurationError(
            f"--group: '{settings.group}' would be torn apart by --split={settings.split}; give --split=grouped or no --group"
        )
    if settings.split == "stratified" and target.task == "regression":
        raise ConfigurationError("--split: 'stratified' needs classes, but the target holds numbers; give --split=shuffled")
    return settings.split


def _single(method: Method, rows: Rows, settings: Settings) -> Split:
    numbers = np.arange(len(rows.targets))
    share, seed = settings.validation_share, settings.split_seed
    try:
        match method:
            case "stratified":
                return Split(*train_test_split(numbers, test_size=share, random_state=seed, stratify=rows.targets))
            case "shuffled":
                return Split(*train_test_split(numbers, test_size=share, random_state=seed))
            case "grouped":
                shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
                return Split(*next(shuffle.split(numbers, groups=rows.groups)))
            case "time":
                return Split(*train_test_split(numbers, test_size=share, shuffle=False))
            case _:
                assert_never(method)
    except ValueError:
        # scikit-learn leaves no part empty and puts no class into one part alone.
        raise ConfigurationError(
            f"--validation-share: {share} of {len(numbers)} rows are too few for one part; give another share or more rows"
        ) from None


def _folds(method: Method, rows: Rows, target: Target, settings: Settings) -> Sequence[Split]:
    folds, seed = settings.folds, settings.split_seed
    match method:
        case "stratified":
            splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        case "shuffled":
            splitter = KFold(folds, shuffle=True, random_state=seed)
        case "grouped" if target.task == "classification":
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        case "grouped":
            splitter = GroupKFold(folds, shuffle=True, random_state=seed)
        case "time":
            splitter = TimeSeriesSplit(folds)
    try:
        return [Split(*parts) for parts in splitter.split(np.arange(len(rows.targets)), rows.targets, rows.groups)]
    except ValueError:
        raise ConfigurationError(f"--folds: {folds} is too many for {len(rows.targets)} rows; give fewer") from None


def _refuse_few_groups(rows: Rows, settings: Settings) -> None:
    if rows.groups is None:
        return
    groups, needed = len(np.unique(rows.groups)), max(settings.folds, _LEAST_OF_A_CLASS)
    if groups < needed:
        remedy = f"give --folds={groups}" if groups > 1 else "give another column"
        raise ConfigurationError(f"--group: '{settings.group}' has {groups} of the {needed} groups that a split needs; {remedy}")


def _refuse_rare_classes(rows: Rows, target: Target, settings: Settings) -> None:
    counts = np.bincount(rows.targets.astype(np.int64), minlength=target.outputs)
    rarest = int(counts.argmin())
    least, name = int(counts[rarest]), target.class_names[rarest]
    if least < _LEAST_OF_A_CLASS:
        raise ConfigurationError(
            f"--target: class '{name}' has {least} row, too few to learn from and to validate; give more or remove it"
        )
    if least < settings.folds:
        raise ConfigurationError(
            f"--folds: {settings.folds} is more than the {least} rows of class '{name}'; give --folds={least} or more such rows"
        )


def _refuse_lost_classes(made: Sequence[Split], rows: Rows, target: Target) -> None:
    """A class that a part lacks cannot be learnt there, or is missing from that part's metrics."""
    for fold, split in enumerate(made):
        for part, numbers in split._asdict().items():
            missing = np.setdiff1d(np.arange(target.outputs), rows.targets[numbers])
            if missing.size:
                where = f"of fold {fold} " if len(made) > 1 else ""
                raise ConfigurationError(
                    f"--split: the {part} rows {where}have none of class '{target.class_names[missing[0]]}'; "
                    "give --split=stratified, fewer --folds, another --split-seed or more such rows"
                )

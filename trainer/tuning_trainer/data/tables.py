"""Tables in files: .csv, .parquet and .npz."""

from __future__ import annotations

import csv
import difflib
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tuning_client import ConfigurationError
from tuning_trainer.data.columns import Kind, TableEncoder, kinds
from tuning_trainer.data.preparation import Preparation
from tuning_trainer.data.rows import TableRows
from tuning_trainer.data.targets import Target
from tuning_trainer.settings import Settings

_FEATURE_ARRAYS: Final = ("X", "x", "features", "data")
_TARGET_ARRAYS: Final = ("y", "Y", "target", "targets", "labels")
_TABLE_DIMENSIONS: Final = 2

_ALIKE: Final = 0.75
"""Likeness of names (difflib's ratio) from which on one is meant by the other: not `age` by `target`."""


def search_rows(path: Path, settings: Settings) -> tuple[TableRows, Target]:
    """The rows of a table that a search may see, and what their target is.

    Raises:
        ConfigurationError: the file or one of its columns is wrong.
    """
    table = _read("--path", path, settings)
    roles = _roles(settings)
    for flag, names in roles.items():
        for name in names:
            _refuse_unknown(flag, name, table, path)
    features = table.drop(columns=[name for names in roles.values() for name in names])
    if features.columns.empty:
        raise ConfigurationError(f"--path: {path.name} has no column beside the target to learn from; give a table that has one")
    _refuse_index(features, path)
    found = kinds(features)
    table = _complete("--path", table, [*features.columns, settings.target], settings)
    target = Target.recognised(settings.target, table[settings.target], settings.task)
    return _rows("--path", table, found=found, target=target, settings=settings), target


def test_rows(path: Path, settings: Settings, preparation: Preparation, target: Target) -> TableRows:
    """The test rows of a table, of the same columns as those that were learnt from.

    Raises:
        ConfigurationError: a column is missing, or holds what could not be learnt.
    """
    assert isinstance(preparation.encoder, TableEncoder), "a table was learnt from"
    found = {column.name: column.kind for column in preparation.encoder.columns}
    table = _read("--test-path", path, settings)
    for name in (*found, settings.target):
        _refuse_unknown("--test-path", name, table, path)
    table = _complete("--test-path", table, [*found, settings.target], settings)
    return _rows("--test-path", table, found=found, target=target, settings=settings)


def _roles(settings: Settings) -> Mapping[str, list[str]]:
    """The columns that are no features, by the flag that names them."""
    ignored = [name.strip() for name in settings.ignore.split(",") if name.strip()]
    return {"--target": [settings.target], "--group": [settings.group] if settings.group else [], "--ignore": ignored}


def _rows(flag: str, table: pd.DataFrame, *, found: Mapping[str, Kind], target: Target, settings: Settings) -> TableRows:
    groups = None
    if settings.group and settings.group in table:
        if table[settings.group].isna().any():
            raise ConfigurationError(
                f"--group: '{settings.group}' has no value in {_where(table[settings.group].isna())}; fill it in"
            )
        groups = pd.factorize(table[settings.group])[0].astype(np.int64)
    targets = target.encoded(flag, table[settings.target])
    return TableRows(table[list(found)], found, targets, groups, impute=settings.missing == "impute")


def _complete(flag: str, table: pd.DataFrame, names: list[str], settings: Settings) -> pd.DataFrame:
    """The rows that have a finite value in these columns, or may lack one."""
    for name in names:
        column = table[name]
        if pd.api.types.is_float_dtype(column) and np.isinf(column).any():
            raise ConfigurationError(
                f"{flag}: column '{name}' is infinite in {_where(np.isinf(column))}; replace it or remove the row"
            )
    if settings.missing == "drop":
        kept = table.dropna(subset=names)
        if kept.empty:
            raise ConfigurationError(
                f"--missing: 'drop' leaves no row of {len(table)}; give --missing=impute or fewer columns by --ignore"
            )
        return kept
    if table[settings.target].isna().any():
        raise ConfigurationError(
            f"{flag}: the target '{settings.target}' has no value in {_where(table[settings.target].isna())}; "
            "remove such rows or give --missing=drop"
        )
    for name in names if settings.missing == "refuse" else ():
        if table[name].isna().any():
            raise ConfigurationError(
                f"{flag}: column '{name}' has no value in {_where(table[name].isna())}; "
                "give --missing=impute or --missing=drop, or fill it in"
            )
    return table


def _where(rows: pd.Series) -> str:
    first = rows.index[rows.to_numpy(bool).argmax()] + 1
    count = int(rows.sum())
    return f"row {first}" if count == 1 else f"{count} rows, the first of them row {first}"


def _refuse_unknown(flag: str, name: str, table: pd.DataFrame, path: Path) -> None:
    if name in table:
        return
    close = difflib.get_close_matches(name, table.columns, n=1, cutoff=_ALIKE)
    remedy = f"did you mean '{close[0]}'?" if close else f"its columns are {_listed(list(table.columns))}"
    raise ConfigurationError(f"{flag}: '{name}' is no column of {path.name}; {remedy}")


def _refuse_index(features: pd.DataFrame, path: Path) -> None:
    """Refuse the numbers of the rows: where these are in the order of their classes, a network learns the order."""
    for name, column in features.items():
        # What pandas calls a column without a name, as which it writes its index.
        if str(name).startswith("Unnamed: ") and pd.api.types.is_integer_dtype(column) and column.is_unique:
            raise ConfigurationError(
                f"--path: column '{name}' of {path.name} numbers the rows, as pandas writes its index; "
                f"write the file with index=False, or leave it out with --ignore='{name}'"
            )


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _read(flag: str, path: Path, settings: Settings) -> pd.DataFrame:
    readers: Mapping[str, Callable[[], pd.DataFrame]] = {
        ".csv": lambda: _read_text(flag, path),
        ".parquet": lambda: pd.read_parquet(path),
        ".npz": lambda: _read_arrays(flag, path, settings),
    }
    if path.suffix.lower() not in readers or not path.is_file():
        raise ConfigurationError(
            f"{flag}: '{path}' is no {', '.join(readers)} file; give one, or --dataset=images for a folder of images"
        )
    try:
        table = readers[path.suffix.lower()]()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{flag}: {path.name} is not text in UTF-8; save it so") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{flag}: {path.name} cannot be read as {path.suffix} ({reason}); write it anew") from None
    table.columns = table.columns.map(str)
    _refuse_twice(flag, table.columns, path)
    if table.empty:
        raise ConfigurationError(f"{flag}: {path.name} has no rows; give a table that has some")
    return table.reset_index(drop=True)


def _read_text(flag: str, path: Path) -> pd.DataFrame:
    # The header on its own: pandas numbers a name that occurs twice, and says nothing.
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    _refuse_twice(flag, [name for name in names if name], path)
    separator = next((mark for mark in (";", "\t") if len(names) == 1 and mark in names[0]), None)
    if separator:
        raise ConfigurationError(f"{flag}: {path.name} has its values separated by {separator!r}; save it with commas")
    table = pd.read_csv(path, low_memory=False)
    # Where all rows have a value more than the header, pandas takes the first ones for names of rows.
    if not table.index.equals(pd.RangeIndex(len(table))):
        raise ConfigurationError(f"{flag}: {path.name} has more values in a row than names in its header; name all columns")
    return table


def _refuse_twice(flag: str, names: Iterable[str], path: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigurationError(f"{flag}: column '{name}' occurs twice in {path.name}; rename one of them")
        seen.add(name)


def _read_arrays(flag: str, path: Path, settings: Settings) -> pd.DataFrame:
    """A table of the columns x0, x1 ... and of the arrays that are the target, the groups or ignored."""
    if not zipfile.is_zipfile(path):
        raise ValueError("no archive of arrays")
    with np.load(path, allow_pickle=False) as file:
        arrays: dict[str, npt.NDArray[Any]] = dict(file)
    features = next((arrays.pop(name) for name in _FEATURE_ARRAYS if name in arrays), None)
    if features is None or features.ndim != _TABLE_DIMENSIONS:
        found = ", ".join(arrays) if features is None else f"one of shape {features.shape}"
        raise ConfigurationError(f"{flag}: {path.name} has no array X of (rows, features) but {found}; save it so")
    others = {name: array for name, array in arrays.items() if array.shape == features.shape[:1]}
    if settings.target not in others:
        answers = next((name for name in _TARGET_ARRAYS if name in others), None)
        if answers is None:
            raise ConfigurationError(
                f"--target: '{settings.target}' is no array of {path.name} with one value for each row of X; save it so, or as y"
            )
        others[settings.target] = others.pop(answers)
    kept = {name: others[name] for names in _roles(settings).values() for name in names if name in others}
    return pd.DataFrame(features, columns=[f"x{number}" for number in range(features.shape[1])]).assign(**kept)

"""Columns of a table become numbers: what each column holds, and how that is encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from tuning_client import ConfigurationError

MOST_CATEGORIES: Final = 100
"""Different texts of one column that are still taken for categories."""

Kind = Literal["number", "category"]
Numbers = npt.NDArray[np.float64]


def kinds(table: pd.DataFrame) -> dict[str, Kind]:
    """What each column holds.

    Raises:
        ConfigurationError: a column holds what no network can learn from: dates, free text, lists, or nothing at all.
    """
    return {name: _kind(name, column) for name, column in table.items()}


def _kind(name: str, column: pd.Series) -> Kind:
    values = column.dropna().infer_objects()
    types = pd.api.types
    if values.empty:
        raise _unusable(name, "has no value in any row")
    if types.is_bool_dtype(values) or (types.is_numeric_dtype(values) and not types.is_complex_dtype(values)):
        return "number"
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if types.is_datetime64_any_dtype(values) or types.is_timedelta64_dtype(values):
        raise _dates(name, values.iloc[0])
    different = values.drop_duplicates()
    if not different.map(lambda value: isinstance(value, str | int | float | bool)).all():
        raise _unusable(name, f"holds neither numbers nor words but {type(values.iloc[0]).__name__} values")
    _refuse_texts(name, different.astype(str), rows=len(column))
    return "category"


def _refuse_texts(name: str, texts: pd.Series, *, rows: int) -> None:
    """Refuse texts that are no categories, saying what they are."""
    dates = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
    if dates.notna().all() and texts.str.contains("-").all():
        raise _dates(name, texts.iloc[0])
    if len(texts) <= min(MOST_CATEGORIES, max(2, rows // 2)):
        return
    words = texts[pd.to_numeric(texts, errors="coerce").isna()]
    if 0 < len(words) < len(texts) / 2:
        remedy = "leave such cells empty and give --missing=impute, or "
        raise _unusable(name, f"holds {words.iloc[0]!r} among its numbers", remedy)
    raise _unusable(name, f"holds {len(texts)} different texts in {rows} rows, too many for categories")


def _dates(name: str, date: object) -> ConfigurationError:
    return _unusable(name, f"holds dates such as {date}", "make them numbers, such as days since the first, or ")


def _unusable(name: str, what: str, remedy: str = "") -> ConfigurationError:
    return ConfigurationError(f"--path: column '{name}' {what}; {remedy}leave it out with --ignore={name}")


@dataclass(frozen=True)
class Column:
    """How one column is encoded.

    Args:
        name: in the table.
        kind: a number stays one; a category becomes one number, 0 or 1, for each of `categories`.
        fill: what stands in for a missing value: the training rows' median, or their commonest category.
        categories: of the training rows, sorted. Any other is encoded as no category at all: 0 for each of them.
    """

    name: str
    kind: Kind
    fill: float | str
    categories: tuple[str, ...] = ()

    @classmethod
    def fitted(cls, name: str, kind: Kind, values: pd.Series) -> Self:
        """The encoding that these values need."""
        if kind == "number":
            numbers = _numbers(values)
            known = numbers[~np.isnan(numbers)]
            return cls(name, kind, fill=float(np.median(known)) if known.size else 0.0)
        words = values.dropna().astype(str)
        return cls(name, kind, fill=next(iter(words.mode()), ""), categories=tuple(sorted(words.unique())))

    @property
    def width(self) -> int:
        """Numbers that it becomes."""
        return 1 if self.kind == "number" else len(self.categories)

    def encoded(self, values: pd.Series) -> Numbers:
        """(rows, width)."""
        if self.kind == "number":
            numbers = _numbers(values)
            return np.where(np.isnan(numbers), self.fill, numbers)[:, np.newaxis].astype(np.float64)
        words = values.astype("string").fillna(self.fill)
        codes = pd.Index(self.categories, dtype="string").get_indexer(words)
        # An unknown word has the code -1: the last of these rows, which is all 0.
        rows: Numbers = np.eye(self.width + 1, self.width)[codes]
        return rows


def _numbers(values: pd.Series) -> Numbers:
    """(rows,), missing ones as nan."""
    return cast("Numbers", pd.to_numeric(values).to_numpy(np.float64, na_value=np.nan))


@dataclass(frozen=True)
class TableEncoder:
    """A table's rows as numbers, fitted on training rows.

    scikit-learn's own encoders would have to be unpickled by who loads a saved model; these are plain values.

    Args:
        columns: in the order of the features.
        impute: whether missing values are replaced; else they are refused.
    """

    columns: tuple[Column, ...]
    impute: bool

    @classmethod
    def fitted(cls, table: pd.DataFrame, kinds: Mapping[str, Kind], *, impute: bool) -> Self:
        """Fitted on these rows, whose columns are of these kinds."""
        return cls(tuple(Column.fitted(name, kind, table[name]) for name, kind in kinds.items()), impute)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (sum(column.width for column in self.columns),)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features: the column's, and the category's behind it."""
        return tuple(
            name
            for column in self.columns
            for name in ([column.name] if column.kind == "number" else [f"{column.name}={word}" for word in column.categories])
        )

    @property
    def scaled(self) -> npt.NDArray[np.bool_]:
        """Which features take part in scaling: numbers do, categories are 0 and 1 anyway."""
        return np.repeat([column.kind == "number" for column in self.columns], [column.width for column in self.columns])

    def encode(self, table: pd.DataFrame | npt.ArrayLike) -> Numbers:
        """(rows, features) of a table with these columns, or of an array that has them in this order.

        Raises:
            ConfigurationError: a column is missing or holds other values than those of the training rows.
        """
        frame = self._frame(table)
        return np.concatenate([self._encoded(column, frame[column.name]) for column in self.columns], axis=1)

    def _frame(self, table: pd.DataFrame | npt.ArrayLike) -> pd.DataFrame:
        names = [column.name for column in self.columns]
        if not isinstance(table, pd.DataFrame):
            array = np.asarray(table)
            if array.shape[1:] != (len(names),):
                raise ConfigurationError(f"rows of shape {array.shape[1:]} were given, the model knows rows of ({len(names)},)")
            return pd.DataFrame(array, columns=names)
        for name in names:
            if name not in table:
                raise ConfigurationError(f"column '{name}' is missing; the model was trained with it")
        return table

    def _encoded(self, column: Column, values: pd.Series) -> Numbers:
        if not self.impute and values.isna().any():
            raise ConfigurationError(
                f"column '{column.name}' has no value in {values.isna().sum()} rows; fill them in, or train with --missing=impute"
            )
        try:
            return column.encoded(values)
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"column '{column.name}' holds other values than the numbers that it was trained with"
            ) from None

    def state(self) -> dict[str, Any]:
        """As plain values."""
        return {"columns": [asdict(column) for column in self.columns], "impute": self.impute}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state` was taken of."""
        columns: Sequence[Mapping[str, Any]] = state["columns"]
        return cls(tuple(Column(**{**column, "categories": tuple(column["categories"])}) for column in columns), state["impute"])

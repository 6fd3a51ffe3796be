"""The example: what its columns hold, how they are read, and how rows like them are built again.

A column is built in the type it has in the example, because models look at types: a nullable integer stays
one, text stays text, a category keeps its categories (and gets new ones for words it has not seen).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import FeatureType
from modelport.formats.conversion import Columns

INT64_END = 2.0**63
UNHEARD_OF = "modelport-has-never-seen-this"


@dataclass(frozen=True, slots=True)
class InputColumn:
    """One column of the example.

    Args:
        label: Its label in the DataFrame, or its place in the array.
        type: What it holds.
        dtype: Its element type, of numpy or pandas.
        absent: How it writes a missing value.
        words: Its values are texts, categories or of mixed types, rather than numbers.
        trouble: Why a model cannot be converted that reads it, or None.
        seen_min: Smallest finite number of the example, None without numbers.
        seen_max: Largest.
        shown: The first value of the example that is not missing, None where all are.
    """

    label: Any
    type: FeatureType
    dtype: Any
    absent: Any = math.nan
    words: bool = False
    trouble: str | None = None
    seen_min: float | None = None
    seen_max: float | None = None
    shown: Any = None

    @property
    def name(self) -> str:
        """Return the name of the feature."""
        return self.label if isinstance(self.label, str) else f"x{self.label}"

    @property
    def single(self) -> bool:
        """Return whether the column is float32."""
        return str(self.dtype).lower() in {"float32", "float[pyarrow]", "float"}

    def build(self, values: Sequence[Any]) -> Any:
        """Return values as a pandas Series of the column's type.

        Args:
            values: None or NaN for a missing one.
        """
        import pandas as pd

        held = [None if is_missing(value) else value for value in values]
        dtype = self.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            known = dtype.categories
            new = [value for value in dict.fromkeys(held) if value is not None and value not in known]
            categories = known.append(pd.Index(new)) if new else known
            return pd.Series(pd.Categorical(held, categories=categories, ordered=dtype.ordered))
        if isinstance(dtype, np.dtype) and dtype.kind == "O":
            words = np.empty(len(held), dtype=object)
            words[:] = [self.absent if value is None else self._plain(value) for value in held]
            return pd.Series(words, dtype=object)
        if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
            numbers = np.array([math.nan if value is None else value for value in held])
            return pd.Series(_narrowed(numbers, dtype))
        if dtype.kind in "iub":
            kind = bool if dtype.kind == "b" else int
            held = [value if value is None else kind(value) for value in held]
        with np.errstate(over="ignore"):
            return pd.Series(held, dtype=dtype)

    def build_numbers(self, values: NDArray[np.float64]) -> Any:
        """Return float64 numbers, NaN for a missing one, as an array or Series of the column's type."""
        if isinstance(self.dtype, np.dtype) and self.dtype.kind != "O":
            return _narrowed(values, self.dtype)
        return self.build(values.tolist())

    def read(self, column: Any, *, words: bool) -> NDArray[Any]:
        """Return a pandas Series (or array) as float64 with NaN, or as objects with None.

        Args:
            column: `[N]`.
            words: As objects.
        """
        import pandas as pd

        series = pd.Series(column)
        missing = series.isna().to_numpy(dtype=bool)
        if not words:
            if series.dtype.kind == "O" or not series.dtype.kind:
                series = series.where(~missing, np.nan).astype(np.float64)
            return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
        values = np.empty(len(series), dtype=object)
        for row, value in enumerate(series.tolist()):
            values[row] = None if missing[row] else self._plain(value)
        return values

    def _plain(self, value: Any) -> Any:
        """Return a value as Python's own; whole numbers of an integer column as int, bools as bool."""
        value = value.item() if isinstance(value, np.generic) else value
        if self.type is FeatureType.INT64 and isinstance(value, float) and value.is_integer():
            return int(value)
        if self.type is FeatureType.BOOL and isinstance(value, float | int):
            return bool(value)
        return value


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows look: the columns in order, and what they stand in.

    Args:
        columns: In the order of the signature.
        dtype: Element type of the array for rows held in one, None for a DataFrame.
    """

    columns: tuple[InputColumn, ...]
    dtype: Any = None

    @property
    def matrix(self) -> bool:
        """Return whether rows are a bare array."""
        return self.dtype is not None

    def with_absent(self, place: int, absent: Any) -> Layout:
        """Return the layout with another way to write a missing value in one column."""
        columns = list(self.columns)
        columns[place] = replace(columns[place], absent=absent)
        return replace(self, columns=tuple(columns))

    def build(self, columns: Mapping[str, NDArray[Any]], *, kept: Sequence[bool]) -> Any:
        """Return rows.

        Args:
            columns: Feature name to values, `[N]` each: float64 with NaN, or objects with None.
            kept: Which columns must be there; others may be absent and are then filled.
        """
        rows = len(next(iter(columns.values())))
        built = []
        for column, needed in zip(self.columns, kept, strict=True):
            values = columns.get(column.name)
            if values is None and needed:
                raise InvalidInput(f"the rows lack the column {column.name!r}", feature=column.name)
            if values is None:
                values = np.array([column.shown] * rows, dtype=object)
            if values.dtype.kind == "f":
                built.append(column.build_numbers(values))
            else:
                built.append(column.build(values.tolist()))
        if self.matrix:
            arrays = [np.asarray(series) for series in built]
            return _stacked(arrays, self.dtype)
        import pandas as pd

        frame = pd.DataFrame(dict(enumerate(built)))
        frame.columns = pd.Index([column.label for column in self.columns])
        return frame

    def read(self, rows: Any, *, words: Sequence[bool], needed: Sequence[bool]) -> Columns:
        """Return rows by column.

        Args:
            rows: A DataFrame with these columns in any order, or an array `[N, F]`.
            words: Which columns to return as objects.
            needed: Which columns must be there.

        Raises:
            InvalidInput: A needed column is not there, or a value cannot be read as its type.
        """
        found: Columns = {}
        for place, column in enumerate(self.columns):
            if self.matrix:
                array = np.asarray(rows)
                if array.ndim != 2 or array.shape[1] != len(self.columns):
                    raise InvalidInput(
                        f"found an array of shape {array.shape}, expected [rows, {len(self.columns)}]"
                    )
                values = array[:, place]
            elif column.label in rows.columns:
                values = rows[column.label]
            elif needed[place]:
                raise InvalidInput(f"the rows lack the column {column.name!r}", feature=column.name)
            else:
                continue
            try:
                found[column.name] = column.read(values, words=words[place])
            except (TypeError, ValueError) as error:
                raise InvalidInput(
                    f"column {column.name!r} cannot be read as {column.type}: {error}", feature=column.name
                ) from error
        return found


def is_missing(value: Any) -> bool:
    """Return whether a cell is None, NaN, or pandas' NA or NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return bool(value != value)  # noqa: PLR0124 - NaN is what differs from itself


def read_layout(example: Any) -> Layout:
    """Return how the example's rows look.

    Args:
        example: A DataFrame or an array `[N, F]`, N at least 1.

    Raises:
        InvalidInput: It is something else, is empty, or names a column twice.
    """
    if hasattr(example, "iloc") and hasattr(example, "columns"):
        return _frame_layout(example)
    if hasattr(example, "toarray"):
        raise InvalidInput(
            "the example is a sparse matrix, expected rows as they will be sent",
            hint="pass example=X[:100].toarray()",
        )
    if hasattr(example, "to_pandas"):
        raise InvalidInput(
            f"the example is a {type(example).__module__}.{type(example).__qualname__}",
            hint="pass example=X.to_pandas()",
        )
    array = np.asarray(example)
    if array.ndim != 2 or not array.shape[0] or not array.shape[1]:
        raise InvalidInput(
            f"the example has shape {array.shape}, expected at least one row [rows, features]",
            hint="pass example=X_train[:100]",
        )
    if array.dtype.kind not in "fiubO":
        raise InvalidInput(
            f"the example is an array of {array.dtype}, expected numbers or objects",
            hint="pass a DataFrame for mixed columns",
        )
    import pandas as pd

    columns = [_input_column(place, pd.Series(array[:, place])) for place in range(array.shape[1])]
    return Layout(tuple(columns), array.dtype)


def _frame_layout(example: Any) -> Layout:
    if not len(example) or not len(example.columns):
        raise InvalidInput(
            "the example has no rows or no columns", hint="pass example=X_train.head(100), the rows you have"
        )
    if example.columns.nlevels > 1:
        raise InvalidInput("the example's columns have several levels", hint="flatten the column names first")
    columns = tuple(
        _input_column(label, example.iloc[:, place]) for place, label in enumerate(example.columns)
    )
    names = [column.name for column in columns]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise InvalidInput(f"the example has two columns called {double!r}", feature=double)
    return Layout(columns)


def _input_column(label: Any, series: Any) -> InputColumn:
    import pandas as pd

    if isinstance(label, np.generic):
        label = label.item()
    dtype = series.dtype
    present = series[series.notna()]
    shown = present.iloc[0] if len(present) else None
    shown = shown.item() if isinstance(shown, np.generic) else shown
    column = InputColumn(label, FeatureType.STRING, dtype, shown=shown)
    if isinstance(dtype, pd.CategoricalDtype):
        return _category_column(column, dtype)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return replace(
            column,
            type=FeatureType.DATETIME,
            absent=None,
            trouble="a date has no number that all models agree on: make columns such as the hour first",
        )
    if isinstance(dtype, pd.StringDtype) or (isinstance(dtype, pd.ArrowDtype) and dtype.kind == "U"):
        return replace(column, words=True)
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return _object_column(column, series, present)
    if dtype.kind not in "fiub" or isinstance(dtype, pd.SparseDtype):
        return replace(column, words=True, trouble=f"its type {dtype} is not supported")
    return _number_column(column, present)


def _number_column(column: InputColumn, present: Any) -> InputColumn:
    kinds = {"b": FeatureType.BOOL, "i": FeatureType.INT64, "u": FeatureType.INT64}
    trouble = None
    if column.dtype.kind == "f" and str(column.dtype).lower() not in {
        *("float32", "float64", "float[pyarrow]", "double[pyarrow]"),
    }:
        trouble = f"its type {column.dtype} has no counterpart in requests: use float64"
    numbers = present.to_numpy(dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    return replace(
        column,
        type=kinds.get(column.dtype.kind, FeatureType.DOUBLE),
        trouble=trouble,
        seen_min=float(finite.min()) if finite.size else None,
        seen_max=float(finite.max()) if finite.size else None,
    )


def _category_column(column: InputColumn, dtype: Any) -> InputColumn:
    values = dtype.categories.tolist()
    fine = all(isinstance(value, str | bool | int | float) for value in values)
    return replace(
        column,
        type=FeatureType.CATEGORY,
        words=True,
        trouble=None if fine else "its categories are neither texts nor numbers",
    )


def _object_column(column: InputColumn, series: Any, present: Any) -> InputColumn:
    """Look at the values of an object column."""
    values = [value.item() if isinstance(value, np.generic) else value for value in present.tolist()]
    kinds = {type(value) for value in values}
    absent = None if any(value is None for value in series.tolist()) else math.nan
    column = replace(column, absent=absent)
    if not kinds or kinds == {str}:
        return replace(column, words=True)
    if kinds == {bool}:
        return replace(column, type=FeatureType.BOOL, seen_min=0.0, seen_max=1.0)
    if kinds <= {int, float}:
        finite = [float(value) for value in values if math.isfinite(value)]
        return replace(
            column,
            type=FeatureType.INT64 if kinds == {int} else FeatureType.DOUBLE,
            seen_min=min(finite, default=None),
            seen_max=max(finite, default=None),
        )
    if kinds <= {int, float, bool, str}:
        return replace(column, words=True)
    other = next(kind for kind in kinds if kind not in {int, float, bool, str})
    return replace(column, words=True, trouble=f"it holds values of type {other.__name__}")


def _narrowed(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers in the column's type, or in a wider one where a missing or large value needs it."""
    if dtype.kind in "iub":
        wide = values.astype(np.float64)
        if not np.isfinite(wide).all():
            return wide
        info = np.iinfo(dtype) if dtype.kind != "b" else None
        if info is not None and (wide.min() < info.min or wide.max() > info.max):
            return values.astype(np.int64) if np.abs(wide).max() < INT64_END else wide
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def _stacked(arrays: list[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "O":
        rows = np.empty((len(arrays[0]), len(arrays)), dtype=object)
        for place, array in enumerate(arrays):
            rows[:, place] = array
        return rows
    return np.stack(arrays, axis=1)

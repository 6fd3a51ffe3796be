"""Rows as users hold them, into request bodies: exactly, and in pieces a server accepts.

A DataFrame becomes JSON with one list per row, because JSON keeps `001` a string and an integer an
integer; a bare numeric array becomes npy, bit for bit. No framework is imported here: whoever passes a
frame has already done so.
"""

from __future__ import annotations

import datetime as dt
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from modelport.domain.errors import InvalidInput

BODY_BYTES = 8 << 20
"""A request is kept near this size, well below a server's limit."""

JSON = "application/json"
NPY = "application/x-npy"
CSV = "text/csv"


@dataclass(frozen=True, slots=True)
class Body:
    """One request: its bytes, their Content-Type, and how many rows they hold."""

    content: bytes
    content_type: str
    rows: int


def encode_rows(rows: Any, *, body_bytes: int = BODY_BYTES) -> Iterator[Body]:
    """Turn rows into request bodies, in order.

    Args:
        rows: A DataFrame; an Arrow table; an array `[rows, features]`; a list of dicts by feature name or of
            lists; or one dict.
        body_bytes: Size a body is kept near; a single larger row is sent as it is.

    Raises:
        InvalidInput: There are no rows, or a value has no exact form in the request; names row and feature.
    """
    count, columns, encode = _plan(rows)
    if count == 0:
        raise InvalidInput("there are no rows to predict", hint="pass at least one row")
    step = min(count, 256 if columns else count)
    start = 0
    while start < count:
        stop = min(start + step, count)
        body = encode(start, stop)
        while len(body.content) > 2 * body_bytes and stop - start > 1:
            stop = start + max(1, int((stop - start) * body_bytes / len(body.content)))
            body = encode(start, stop)
        yield body
        step = max(1, int((stop - start) * body_bytes / max(1, len(body.content))))
        start = stop


def index_of(rows: Any) -> Any:
    """Return the index of a DataFrame, None for everything else."""
    return rows.index if _is_frame(rows) else None


Encode = Callable[[int, int], Body]


def _plan(rows: Any) -> tuple[int, bool, Encode]:
    """Return how many rows there are, whether the first piece must be small, and how to write a piece."""
    if _is_frame(rows) and not any(isinstance(name, str) for name in rows.columns):
        return _array(rows.to_numpy())  # scikit-learn, too, takes columns without names by position
    if _is_frame(rows):
        names = _names(list(rows.columns))
        return _table(len(rows), names, [rows.iloc[:, place] for place in range(len(names))], _series_values)
    if hasattr(rows, "column_names") and hasattr(rows, "num_rows"):  # an Arrow table
        names = _names(rows.column_names)
        columns = [rows.column(place) for place in range(len(names))]
        return _table(rows.num_rows, names, columns, lambda piece: piece.to_pylist())
    if isinstance(rows, np.ndarray):
        return _array(rows)
    if isinstance(rows, dict):
        rows = [rows]
    if isinstance(rows, list | tuple):
        return _sequence(rows)
    raise InvalidInput(
        f"cannot send rows held in a {type(rows).__module__}.{type(rows).__qualname__}",
        hint="pass a DataFrame, a numeric array of shape [rows, features], or a list of dicts",
    )


def _is_frame(rows: Any) -> bool:
    return hasattr(rows, "iloc") and hasattr(rows, "columns")


def _names(columns: Sequence[Any]) -> list[str]:
    names = [str(column) for column in columns]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"the column {double!r} is there {names.count(double)} times, expected once")
    return names


def _table(
    count: int, names: list[str], columns: list[Any], values: Callable[[Any], list[Any]]
) -> tuple[int, bool, Encode]:
    def encode(start: int, stop: int) -> Body:
        data = []
        infinite = False
        for name, column in zip(names, columns, strict=True):
            cells = values(column[start:stop] if not hasattr(column, "iloc") else column.iloc[start:stop])
            clean, column_infinite = _clean(cells, name, start)
            infinite |= column_infinite
            data.append(clean)
        rows = list(zip(*data, strict=True)) if data else [()] * (stop - start)
        if infinite:
            return Body(_csv(names, rows, start), CSV, stop - start)
        content = msgspec.json.encode({"dataframe_split": {"columns": names, "data": rows}})
        return Body(content, JSON, stop - start)

    return count, True, encode


def _array(rows: np.ndarray) -> tuple[int, bool, Encode]:
    if rows.ndim < 2:
        raise InvalidInput(
            f"found an array of shape {rows.shape}, expected [rows, features]",
            hint="for one row, write x.reshape(1, -1)",
        )
    if rows.dtype.kind not in "fiub":
        return _sequence(rows.tolist())

    def encode(start: int, stop: int) -> Body:
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(rows[start:stop], dtype=np.float64), allow_pickle=False)
        return Body(buffer.getvalue(), NPY, stop - start)

    return len(rows), True, encode


def _sequence(rows: Sequence[Any]) -> tuple[int, bool, Encode]:
    def encode(start: int, stop: int) -> Body:
        content = msgspec.json.encode({"instances": [_row(rows[at], at) for at in range(start, stop)]})
        return Body(content, JSON, stop - start)

    return len(rows), True, encode


def _row(row: Any, at: int) -> Any:
    if isinstance(row, dict):
        cells, _ = _clean(list(row.values()), None, at, names=[str(name) for name in row], finite=True)
        return dict(zip((str(name) for name in row), cells, strict=True))
    if isinstance(row, np.ndarray):
        row = row.tolist()
    if isinstance(row, list | tuple):
        return [_row(cell, at) if isinstance(cell, list | tuple) else _cell(cell, at) for cell in row]
    raise InvalidInput(
        f"row {at} is a {type(row).__name__}, expected a dict by feature name or a list",
        hint="for one row, write [[1.0, 2.0]]",
        row=at,
    )


def _cell(value: Any, at: int) -> Any:
    return _clean([value], None, at, names=[None], finite=True)[0][0]


def _series_values(series: Any) -> list[Any]:
    """Return a column's values as Python objects. `tolist` keeps integers whole and categories in words."""
    return list(series.tolist())


def _clean(
    cells: list[Any],
    name: str | None,
    start: int,
    *,
    names: Sequence[str | None] | None = None,
    finite: bool = False,
) -> tuple[list[Any], bool]:
    """Return values that JSON holds exactly, None for a missing one, and whether any is infinite.

    Args:
        cells: The values: of one column, or, with `names`, of one row.
        name: The column.
        start: Number of the row of the first value.
        names: The feature of each value, when they are those of one row.
        finite: Refuse infinity instead of reporting it.
    """
    infinite = False
    for place, value in enumerate(cells):
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            continue
        feature, row = (names[place], start) if names is not None else (name, start + place)
        if isinstance(value, np.generic):
            value = value.item()  # noqa: PLW2901 - the cell in its plain form
        if isinstance(value, float):
            if math.isfinite(value):
                cells[place] = value
            elif value != value:  # noqa: PLR0124 - only NaN differs from itself
                cells[place] = None
            elif finite:
                raise InvalidInput(
                    f"row {row}{_of(feature)}: found {value}, which JSON cannot carry",
                    hint="pass a DataFrame or a numeric array, which can",
                    row=row,
                    feature=feature,
                )
            else:
                infinite = True
        else:
            cells[place] = _plain(value, row, feature)
    return cells, infinite


def _plain(value: Any, row: int, feature: str | None) -> Any:
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas' words for missing, without importing it
        return None
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    raise InvalidInput(
        f"row {row}{_of(feature)}: found a {type(value).__name__} ({str(value)[:40]!r}), "
        "expected a number, a string, a bool, a date or nothing",
        hint="convert the column before predicting, as was done before training",
        row=row,
        feature=feature,
    )


def _of(feature: str | None) -> str:
    return "" if feature is None else f", feature {feature!r}"


def _csv(names: list[str], rows: list[tuple[Any, ...]], start: int) -> bytes:
    """Write a numeric table with infinities, which JSON cannot carry, as CSV."""
    lines = [",".join('"' + name.replace('"', '""') + '"' for name in names)]
    for offset, row in enumerate(rows):
        for name, value in zip(names, row, strict=True):
            if isinstance(value, str):
                raise InvalidInput(
                    f"rows from {start + offset} hold both infinity and text ({name!r}), "
                    "which no request format carries exactly",
                    hint="predict the rows without infinity separately",
                    row=start + offset,
                    feature=name,
                )
        lines.append(",".join("" if value is None else repr(value).lower() for value in row))
    return ("\n".join(lines) + "\n").encode()

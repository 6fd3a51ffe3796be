"""NumPy arrays, whichever codec they came in, to the numbers of the matrix."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.runtime.cells import EXACT_BELOW, Cell, Kind, Unfit
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.rows import FLOAT32, FLOAT64, Rows
from modelport.runtime.wording import located

NUMBERS = "fiub"
"""Kinds of types that hold numbers."""

TEXTS = "US"
"""Kinds of types that hold fixed-length text."""


def plain_block(schema: Schema, table: NDArray[Any]) -> Rows:
    """Read features that are all numbers (`schema.plain`), as one block.

    Args:
        schema: Of the model.
        table: `[n, features]`, of any number type.

    Raises:
        InvalidInput: A number does not fit; names row and feature.
    """
    single = schema.single and table.dtype == FLOAT32
    matrix = np.ascontiguousarray(table, FLOAT32 if single else FLOAT64)
    if not matrix.size:
        return Rows(b"", len(matrix))
    if not fits(schema, matrix):
        _refuse_first(schema, matrix)
    return Rows(matrix.data.cast("B"), len(matrix), single=single)


def fits(schema: Schema, values: NDArray[Any]) -> bool:
    """Return whether every feature of a plain schema takes each of these numbers, whatever its place.

    False says nothing: a feature may have wider bounds than its neighbours.

    Args:
        schema: Of the model.
        values: float64 or float32, at least one.
    """
    if schema.nullable and schema.lower == -math.inf and schema.upper == math.inf:
        return True
    smallest, largest = (np.fmin, np.fmax) if schema.nullable else (np.minimum, np.maximum)
    flat = values.reshape(-1)
    low, high = float(smallest.reduce(flat)), float(largest.reduce(flat))  # NaN where a number is missing
    return bool(schema.lower <= low and high <= schema.upper)


def _refuse_first(schema: Schema, matrix: NDArray[Any]) -> None:
    """Raise what is wrong with the first number, row by row, that its feature refuses; it may be none."""
    first: tuple[int, int] | None = None
    for feature, cell in enumerate(schema.cells):
        refused = cell.from_array(matrix[:, feature])[1]
        if refused is not None:
            place = (int(np.argmax(refused)), feature)
            first = place if first is None else min(first, place)
    if first is not None:
        row, feature = first
        numbers(schema.cells[feature], matrix[:, feature], row)


def numbers(cell: Cell, column: NDArray[Any], row: int | None = None) -> NDArray[np.float64]:
    """Return the numbers of a numeric column `[n]`.

    Args:
        cell: The feature's rules.
        column: Any number type; NaN is a missing value.
        row: The row to name in the error; None names the first that does not fit.

    Raises:
        InvalidInput: One does not fit; names the row.
    """
    taken, refused = cell.from_array(column)
    if refused is not None:
        at = int(np.argmax(refused)) if row is None else row
        _explain(at, cell, cell.from_number, column[at].item())
    return taken


def text_column(cell: Cell, column: NDArray[Any]) -> NDArray[np.float64]:
    """Return the numbers of a column `[n]` of fixed-length text, read as CSV cells are.

    Raises:
        InvalidInput: One does not fit, or is no UTF-8.
    """
    _check_unicode(cell, column)
    distinct, places = np.unique(column, return_inverse=True)
    try:
        texts = [text if isinstance(text, str) else text.decode() for text in distinct.tolist()]
    except UnicodeDecodeError:
        raise located(None, cell.name, "found bytes that are not UTF-8, expected text") from None
    read, refused = cell.look_up(texts, cell.from_text)
    if refused.any():
        row = int(np.argmax(refused[places]))
        _explain(row, cell, cell.from_text, texts[int(places[row])])
    taken: NDArray[np.float64] = read[places]
    return taken


def texts_to_numbers(cell: Cell, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers of texts, read as CSV cells are; each distinct one is looked up once.

    Raises:
        InvalidInput: One does not fit; names the row.
    """
    known: dict[str, float] = {}
    for row, text in enumerate(texts):
        if text not in known:
            try:
                known[text] = cell.from_text(text)
            except Unfit as misfit:
                raise located(row, cell.name, str(misfit)) from None
    return np.array([known[text] for text in texts], np.float64)


def refuse_inexact(cell: Cell, column: NDArray[Any]) -> None:
    """Refuse integers that the float64 of a feature of fractions cannot hold.

    Args:
        cell: The feature's rules.
        column: `[n]` of any number type.

    Raises:
        InvalidInput: There is one; names the row.
    """
    if (
        cell.kind is not Kind.NUMBER
        or cell.codes is not None  # it is looked up as it is
        or column.dtype.kind not in "iu"
        or column.dtype.itemsize < FLOAT64.itemsize
    ):
        return
    negative = column < 0
    size = np.where(negative, ~column, column).astype(np.uint64) + negative
    lowest = size & (~size + np.uint64(1))  # a number is exact where what its lowest bit divides is small
    inexact = size // np.maximum(lowest, np.uint64(1)) >= EXACT_BELOW
    if inexact.any():
        row = int(np.argmax(inexact))
        raise located(
            row,
            cell.name,
            f"found the integer {column[row].item()}, which no float64 holds exactly, "
            f"expected {cell.expected()}",
            hint="send it as FP64, rounded as you want it",
        )


def packed(columns: Sequence[NDArray[np.float64]]) -> Rows:
    """Return columns `[n]`, in the order of the features, as rows."""
    matrix = np.empty((len(columns[0]), len(columns)), FLOAT64)
    for j, column in enumerate(columns):
        matrix[:, j] = column
    return Rows(matrix.data.cast("B"), len(matrix))


def _explain(row: int, cell: Cell, rule: Callable[[Any], float], value: Any) -> None:
    try:
        rule(value)
    except Unfit as misfit:
        raise located(row, cell.name, str(misfit)) from None


def _check_unicode(cell: Cell, column: NDArray[Any]) -> None:
    """Refuse numbers that are no characters, on which NumPy itself stumbles."""
    if column.dtype.kind == "U" and column.dtype.itemsize:
        points = np.ascontiguousarray(column).view(np.dtype("u4").newbyteorder(column.dtype.byteorder))
        if points.max(initial=0) > sys.maxunicode:
            raise located(None, cell.name, "found code points beyond Unicode, expected text")

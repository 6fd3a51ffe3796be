"""Rows by column into the serving matrix, by the rules that workers and batch jobs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Signature
from modelport.evaluation.probes import Columns
from modelport.runtime.cells import Cell, Unfit, cells_of


@dataclass(frozen=True, slots=True)
class Coded:
    """Rows as the serving graph takes them.

    Args:
        matrix: float64 `[N, F]`, C-contiguous; the numbers of refused rows mean nothing.
        refused: bool `[N]`.
        refuser: Index of the feature that refuses, int64 `[N]`; -1 where none does.
    """

    matrix: NDArray[np.float64]
    refused: NDArray[np.bool_]
    refuser: NDArray[np.int64]


def code(signature: Signature, columns: Columns) -> Coded:
    """Return the rows as a matrix, and which of them the signature refuses.

    Args:
        signature: The model's.
        columns: Feature name to values, `[N]` each, as `evaluation.probes` holds them.
    """
    cells = cells_of(signature)
    rows = len(next(iter(columns.values()), ()))
    matrix = np.zeros((rows, len(cells)))
    refuser = np.full(rows, -1, dtype=np.int64)
    for place, cell in enumerate(cells):
        if cell.name not in columns:
            continue  # a column the model does not read
        numbers, bad = _code_column(cell, columns[cell.name])
        matrix[:, place] = numbers
        refuser[bad & (refuser < 0)] = place
    return Coded(matrix, refuser >= 0, refuser)


def _code_column(cell: Cell, column: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if column.dtype != object:
        numbers, refused = cell.from_array(column)
        return numbers, np.zeros(len(column), dtype=np.bool_) if refused is None else refused
    known: dict[tuple[type, Any], tuple[float, bool]] = {}  # 1, 1.0 and True are different values here
    found = []
    for value in column.tolist():
        key = (type(value), value)
        if key not in known:
            known[key] = _code_value(cell, value)
        found.append(known[key])
    return np.array([number for number, _ in found]), np.array([bad for _, bad in found], dtype=np.bool_)


def _code_value(cell: Cell, value: Any) -> tuple[float, bool]:
    try:
        # binary forms carry infinity where JSON cannot: an array's rule is the wider one
        return (cell.from_number if isinstance(value, float) else cell.from_json)(value), False
    except Unfit:
        return 0.0, True

"""Running a fitted transformer itself on the tables of coded columns.

What comes out is exact by construction: no rule of an encoder (infrequent, dropped, unknown, missing
categories) is written a second time here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Coded
from modelport.formats.scikit.walk import Walk, quiet

Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Constant:
    """A column that plays no part: one value that the transformer accepts."""

    value: Any


@dataclass(frozen=True, slots=True)
class Table:
    """A column that is looked up.

    Args:
        column: Its codes and values.
        safe: Row of the table that the transformer accepts.
    """

    column: Coded
    safe: int

    @property
    def rows(self) -> int:
        """Return the number of codes."""
        return self.column.codes.size + 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the transformer makes of the tables.

    Args:
        output: All its output columns, `[R, M]`: in row r every table stood at its r-th code, or at its
            safe row where it has fewer codes or the code is refused.
        refused: Per column the codes that it refuses.
    """

    output: NDArray[Any]
    refused: tuple[frozenset[int], ...]

    def table(self, place: int, column: Coded, output: int) -> NDArray[Any]:
        """Return the new table of one output column that depends on one input column.

        Args:
            place: The input column.
            column: Likewise.
            output: The output column.
        """
        table = np.array(self.output[: column.codes.size + 2, output])
        refused = sorted(self.refused[place])
        if refused:
            table[refused] = np.nan if table.dtype.kind == "f" else table[0]
        return table


def run_on_tables(walk: Walk, step: Any, columns: Sequence[Table | Constant], where: str) -> Outcome:
    """Ask a transformer about every code of its columns.

    Args:
        walk: Notes which features refuse unknown or missing values.
        step: Fitted; each of its output columns depends on one input column.
        columns: One for each of its input columns.
        where: Path of the step.

    Raises:
        ConversionFailed: It refuses a value that another step knows.
    """
    count = max(each.rows if isinstance(each, Table) else 1 for each in columns)
    refused: list[set[int]] = [_known_refusals(walk, each) for each in columns]
    rows = [_rows(each, count, gone) for each, gone in zip(columns, refused, strict=True)]
    try:
        return Outcome(_transformed(step, columns, rows), tuple(map(frozenset, refused)))
    except (TypeError, ValueError):
        pass  # some code is refused; find out which
    for place, each in enumerate(columns):
        if not isinstance(each, Table):
            continue
        for code in (each.rows - 2, each.rows - 1):
            if code not in refused[place] and _refuses(step, columns, place, code):
                refused[place].add(code)
                _note_refusal(walk, each, code)
    rows = [_rows(each, count, gone) for each, gone in zip(columns, refused, strict=True)]
    try:
        return Outcome(_transformed(step, columns, rows), tuple(map(frozenset, refused)))
    except (TypeError, ValueError) as error:
        raise ConversionFailed(
            f"{where} ({type(step).__name__}) refuses values that the model knows elsewhere: {error}",
            hint="give both encoders of the column the same categories",
        ) from error


def _known_refusals(walk: Walk, column: Table | Constant) -> set[int]:
    if isinstance(column, Constant) or column.column.codes.feature is None:
        return set()
    feature = column.column.codes.feature
    known = set()
    if feature in walk.refused_unknown:
        known.add(column.rows - 2)
    if feature in walk.refused_missing:
        known.add(column.rows - 1)
    return known


def _note_refusal(walk: Walk, column: Table, code: int) -> None:
    feature = column.column.codes.feature
    if feature is not None:
        (walk.refused_unknown if code == column.rows - 2 else walk.refused_missing).add(feature)


def _rows(column: Table | Constant, count: int, refused: set[int]) -> Ints:
    if isinstance(column, Constant):
        return np.zeros(count, np.intp)
    rows = np.arange(count)
    rows[column.rows :] = column.safe
    rows[sorted(refused)] = column.safe
    return rows


def _refuses(step: Any, columns: Sequence[Table | Constant], place: int, code: int) -> bool:
    rows = [np.array([each.safe if isinstance(each, Table) else 0]) for each in columns]
    rows[place] = np.array([code])
    try:
        _transformed(step, columns, rows)
    except (TypeError, ValueError):
        return True
    return False


def _transformed(step: Any, columns: Sequence[Table | Constant], rows: Sequence[Ints]) -> NDArray[Any]:
    values = [_values(each, some) for each, some in zip(columns, rows, strict=True)]
    with quiet():
        output = step.transform(_input(step, values))
    if hasattr(output, "toarray"):
        output = output.toarray()
    return np.asarray(output)


def _values(column: Table | Constant, rows: Ints) -> Any:
    if isinstance(column, Constant):
        values = np.empty(len(rows), dtype=object)
        values[:] = column.value
        return values
    table = column.column.table
    return table.iloc[rows].reset_index(drop=True) if hasattr(table, "iloc") else np.asarray(table)[rows]


def _input(step: Any, values: list[Any]) -> Any:
    """Return columns in the container the step was fitted on."""
    names = getattr(step, "feature_names_in_", None)
    if names is not None:
        import pandas as pd

        return pd.DataFrame(dict(zip(names, values, strict=True)))
    arrays = [np.asarray(each) for each in values]
    if all(array.dtype.kind in "fiub" for array in arrays):
        return np.stack([array.astype(np.float64) for array in arrays], axis=1)
    stacked = np.empty((len(arrays[0]), len(arrays)), dtype=object)
    for place, array in enumerate(arrays):
        stacked[:, place] = array
    return stacked

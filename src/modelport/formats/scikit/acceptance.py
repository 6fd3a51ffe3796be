"""What the original accepts, found by asking it: missing values, infinity, words it does not know.

Whole groups of columns are asked at once and halved where the original refuses, because most models refuse
either in every column or in none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from modelport.domain.errors import InvalidInput
from modelport.formats.conversion import Columns

Ask = Callable[[Columns], Any]


def accepting(ask: Ask, row: Columns, names: Sequence[str], value: Any) -> set[str]:
    """Return the columns in which the original accepts a value.

    Args:
        ask: Asks the original about rows; raises where it refuses.
        row: One row by column, which it accepts.
        names: Which columns.
        value: What to put there; for columns of objects None stands for a missing value.
    """
    pending, accepted = [list(names)], set()
    while pending:
        group = pending.pop()
        if not group:
            continue
        if _accepts(ask, _changed(row, group, value)):
            accepted.update(group)
        elif len(group) > 1:
            middle = len(group) // 2
            pending += [group[:middle], group[middle:]]
    return accepted


def accepted_row(ask: Ask, columns: Columns) -> Columns:
    """Return the first row that the original accepts, by column.

    Args:
        ask: Asks the original about rows; raises where it refuses.
        columns: Rows of the example.

    Raises:
        InvalidInput: It refuses every row that was tried; says why.
    """
    rows = len(next(iter(columns.values())))
    whole = sorted(range(min(rows, 50)), key=lambda row: _missing_count(columns, row))
    reason: Exception | None = None
    for row in whole[:10]:
        one = {name: values[row : row + 1] for name, values in columns.items()}
        try:
            ask(one)
        except Exception as error:  # noqa: BLE001 - whatever the original raises, it refuses
            reason = reason or error
        else:
            return one
    raise InvalidInput(
        f"the model refuses the rows of the example: {reason}",
        hint="pass rows as the model was fitted on, without the target",
    )


def _missing_count(columns: Columns, row: int) -> int:
    return sum(value is None or bool(value != value) for value in (each[row] for each in columns.values()))  # noqa: PLR0124 - NaN


def _changed(row: Columns, names: Sequence[str], value: Any) -> Columns:
    changed = dict(row)
    for name in names:
        old = row[name]
        if old.dtype.kind == "O":
            changed[name] = np.array([value], dtype=object)
        else:
            changed[name] = np.array([np.nan if value is None else value], dtype=np.float64)
    return changed


def _accepts(ask: Ask, row: Columns) -> bool:
    try:
        ask(row)
    except Exception:  # noqa: BLE001 - whatever the original raises, it refuses
        return False
    return True

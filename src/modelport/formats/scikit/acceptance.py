"""What the original accepts, found by asking it: missing values, infinity, numbers too large, unknown words.

Whole groups of columns are asked at once and halved where the original refuses, because most models refuse
either in every column or in none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from modelport.domain.errors import InvalidInput
from modelport.formats.conversion import Columns
from modelport.formats.tabular import is_missing

TRIED_ROWS = 10
LOOKED_AT = 200
Ask = Callable[[Columns], Any]


def accepting(ask: Ask, row: Columns, values: Mapping[str, Any]) -> set[str]:
    """Return the columns in which the original accepts a value.

    Args:
        ask: Asks the original about rows; raises where it refuses.
        row: One row by column, which it accepts.
        values: Column to the value to put there, None for a missing one.
    """
    pending, accepted = [list(values)], set()
    while pending:
        group = pending.pop()
        if not group:
            continue
        if _accepts(ask, {**row, **{name: _cell(row[name], values[name]) for name in group}}):
            accepted.update(group)
        elif len(group) > 1:
            middle = len(group) // 2
            pending += [group[:middle], group[middle:]]
    return accepted


def accepted_row(ask: Ask, columns: Columns) -> Columns:
    """Return a row that the original accepts, by column: the first one with the fewest missing values.

    Args:
        ask: Asks the original about rows; raises where it refuses.
        columns: Rows of the example.

    Raises:
        InvalidInput: It refuses every row that was tried; says why.
    """
    rows = min(LOOKED_AT, len(next(iter(columns.values()))))
    reason: Exception | None = None
    for row in sorted(range(rows), key=lambda row: _missing_count(columns, row))[:TRIED_ROWS]:
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
    return sum(is_missing(values[row]) for values in columns.values())


def _cell(like: Any, value: Any) -> Any:
    if like.dtype.kind == "O":
        cell = np.empty(1, dtype=object)
        cell[0] = value
        return cell
    return np.array([np.nan if value is None else value], dtype=np.float64)


def _accepts(ask: Ask, row: Columns) -> bool:
    try:
        ask(row)
    except Exception:  # noqa: BLE001 - whatever the original raises, it refuses
        return False
    return True

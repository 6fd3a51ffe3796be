"""What the original accepts, found by asking it: missing values, infinity, numbers too large, unknown words.

Whole groups of columns are asked at once and halved where the original refuses, because most models refuse
either in every column or in none. Of many columns that go through the same steps, three stand for all where
each of them is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from modelport.domain.errors import InvalidInput
from modelport.formats.conversion import Columns
from modelport.formats.tabular import is_missing

TRIED_ROWS = 10
LOOKED_AT = 200
ASKED_ONE_BY_ONE = 12
Ask = Callable[[Columns], Any]


def accepting(ask: Ask, row: Columns, values: Mapping[str, Any], alike: Mapping[str, Hashable]) -> set[str]:
    """Return the columns in which the original accepts a value.

    Args:
        ask: Asks the original about rows; raises where it refuses.
        row: One row by column, which it accepts.
        values: Column to the value to put there, None for a missing one.
        alike: Column to what it has in common with columns that go through the same steps.
    """

    def takes(group: Sequence[str]) -> bool:
        return _accepts(ask, {**row, **{name: _cell(row[name], values[name]) for name in group}})

    if not values:
        return set()
    if takes(list(values)):
        return set(values)
    groups: dict[Hashable, list[str]] = {}
    for name in values:
        groups.setdefault(alike[name], []).append(name)
    accepted: set[str] = set()
    for group in groups.values():
        spots = (group[0], group[len(group) // 2], group[-1])
        if len(group) > ASKED_ONE_BY_ONE and not any(takes([name]) for name in spots):
            continue
        accepted |= _halved(takes, group)
    return accepted


def _halved(takes: Callable[[Sequence[str]], bool], group: list[str]) -> set[str]:
    pending, accepted = [group], set()
    while pending:
        some = pending.pop()
        if takes(some):
            accepted.update(some)
        elif len(some) > 1:
            middle = len(some) // 2
            pending += [some[:middle], some[middle:]]
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

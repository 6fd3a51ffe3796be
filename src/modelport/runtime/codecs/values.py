"""The general path: rows of plain Python values to the matrix, and every error of a row in words.

Slower than the generated code by ten times and complete: it takes whatever the fast path gives up on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from modelport.domain.errors import InvalidInput, PayloadTooLarge
from modelport.runtime.cells import UNUSED, Cell, Unfit
from modelport.runtime.rows import Rows
from modelport.runtime.wording import found, located, nearest

NAMES_SHOWN_MAX = 20
VALUES_MAX = 10_000_000


class GeneralReader:
    """Turns parsed rows into numbers, one cell at a time.

    Args:
        cells: The rules of each feature, in the order of the matrix.
        row_shape: Shape of one row sent as nested lists; None for flat rows.
    """

    def __init__(self, cells: Sequence[Cell], row_shape: tuple[int, ...] | None = None) -> None:
        self._cells = cells
        self._names = {cell.name for cell in cells}
        self._row_shape = row_shape
        self._pack = struct.Struct(f"<{len(cells)}d").pack

    def read(self, rows: Iterable[Any], *, first: int = 0) -> Rows:
        """Return rows given as objects by feature name, or as lists in the order of the features.

        Args:
            rows: Parsed JSON values.
            first: Number of the first row, for errors.

        Raises:
            InvalidInput: A row does not fit; names the row and the feature.
        """
        packed = [self._pack(*self._row(number, row)) for number, row in enumerate(rows, first)]
        return finished(packed)

    def read_cells(self, number: int, texts: Sequence[str], *, hint: str | None = None) -> bytes:
        """Return one row of text cells, in the order of the features, as bytes.

        Args:
            number: The row, for errors.
            texts: As many cells as features.
            hint: What an error should add.

        Raises:
            InvalidInput: A cell does not fit.
        """
        return self._pack(
            *[
                self._fit(number, cell, cell.from_text, text, hint)
                for cell, text in zip(self._cells, texts, strict=True)
            ]
        )

    def order_of(self, names: Sequence[str], *, what: str) -> list[int | None]:
        """Return per feature where it stands among the given columns.

        Args:
            names: Column names as sent.
            what: Where they stand, for errors: "the header", "columns".

        Raises:
            InvalidInput: A name is unknown or doubled, or a used feature is absent.
        """
        places: dict[str, int] = {}
        for at, name in enumerate(names):
            if name not in self._names:
                raise self.unknown(None, name, what=what)
            if name in places:
                raise located(None, name, f"stands twice in {what}, expected once")
            places[name] = at
        for cell in self._cells:
            if cell.used and cell.name not in places:
                raise self.absent(None, cell, what=what)
        return [places.get(cell.name) for cell in self._cells]

    def unknown(self, row: int | None, name: str, *, what: str = "the row") -> InvalidInput:
        """Return the error of a name that is no feature, with the nearest one as the hint."""
        near = nearest(name, self._names)
        shown = [cell.name for cell in self._cells[:NAMES_SHOWN_MAX]]
        more = ", …" if len(self._cells) > NAMES_SHOWN_MAX else ""
        hint = (
            f"did you mean {near}?"
            if near is not None
            else f"the features are {', '.join(map(found, shown))}{more}"
        )
        return located(row, name, f"found in {what}, but the model has no such feature", hint=hint)

    def absent(self, row: int | None, cell: Cell, *, what: str = "the row") -> InvalidInput:
        """Return the error of a feature that was left out."""
        hint = "write null where the value is missing" if cell.feature.missing else None
        return located(row, cell.name, f"not found in {what}, expected {cell.expected()}", hint=hint)

    def _row(self, number: int, row: Any) -> list[float]:
        if isinstance(row, dict):
            return self._object(number, row)
        if isinstance(row, list):
            return self._list(number, row)
        raise located(
            number,
            None,
            f"found {found(row)}, expected a list of {len(self._cells)} values or an object by feature name",
            hint='a single row is sent as {"instances": [[…]]}' if number == 0 else None,
        )

    def _object(self, number: int, row: dict[str, Any]) -> list[float]:
        if not row.keys() <= self._names:
            raise self.unknown(number, next(name for name in row if name not in self._names))
        numbers = []
        for cell in self._cells:
            if cell.name in row:
                numbers.append(self._fit(number, cell, cell.from_json, row[cell.name]))
            elif cell.used:
                raise self.absent(number, cell)
            else:
                numbers.append(UNUSED)
        return numbers

    def _list(self, number: int, row: list[Any]) -> list[float]:
        if self._row_shape is not None and row and isinstance(row[0], list):
            row = _flatten(number, row, self._row_shape)
        if len(row) != len(self._cells):
            raise located(number, None, f"found {len(row)} values, expected {len(self._cells)}")
        return [
            self._fit(number, cell, cell.from_json, value)
            for cell, value in zip(self._cells, row, strict=True)
        ]

    def _fit(
        self, number: int, cell: Cell, rule: Callable[[Any], float], value: Any, hint: str | None = None
    ) -> float:
        try:
            return rule(value)
        except Unfit as misfit:
            raise located(number, cell.name, str(misfit), hint=hint or _hint(value)) from None


PASSING_BYTES = 4 << 10
"""A body this small is read value by value on an event loop; that takes a millisecond at most."""


class Lengthy(Exception):
    """Reading this body takes long: it is not done on an event loop."""


def refuse_lengthy(body: bytes) -> None:
    """Refuse to read a body value by value in passing.

    Raises:
        Lengthy: It is too large for that.
    """
    if len(body) > PASSING_BYTES:
        raise Lengthy


def refuse_many_values(body: bytes) -> None:
    """Refuse a body of so many values that reading it would take gigabytes.

    Raises:
        PayloadTooLarge: It has more than `VALUES_MAX` values.
    """
    if len(body) > 2 * VALUES_MAX and body.count(b",") >= VALUES_MAX:  # a value takes two bytes or more
        raise PayloadTooLarge(
            f"found {body.count(b',') + 1} values or more, expected at most {VALUES_MAX} in one request",
            hint="send them in several requests, or as a batch job",
        )


def finished(packed: list[bytes]) -> Rows:
    """Return packed rows as one.

    Raises:
        InvalidInput: There is none.
    """
    if not packed:
        raise InvalidInput("found no rows, expected at least one")
    return Rows(b"".join(packed), len(packed))


def _flatten(number: int, row: list[Any], shape: tuple[int, ...]) -> list[Any]:
    flat: list[Any] = [row]
    for length in shape:
        deeper: list[Any] = []
        for part in flat:
            if not isinstance(part, list) or len(part) != length:
                size = f"{len(part)} values" if isinstance(part, list) else found(part)
                raise located(number, None, f"found {size}, expected nested lists of shape {list(shape)}")
            deeper += part
        flat = deeper
    return flat


def _hint(value: Any) -> str | None:
    if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124
        return "JSON has no NaN and no infinity: write null for a missing value"
    return None

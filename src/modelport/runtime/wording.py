"""How errors show values, names and places."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from modelport.domain.errors import InvalidInput

FOUND_LENGTH_MAX = 80
NAME_COMPARED_MAX = 200  # the comparison is quadratic


def located(row: int | None, feature: str | None, reason: str, *, hint: str | None = None) -> InvalidInput:
    """Return the error of a cell, a row or a column: `row 3, feature "dep_hour": found …`.

    Args:
        row: Zero-based row, None when it concerns a whole column.
        feature: Name of the feature, None when it concerns a whole row.
        reason: Found and expected.
        hint: The next step.
    """
    where = [f"row {row}"] if row is not None else []
    if feature is not None:
        where.append(f"feature {quote(feature)}")
    message = f"{', '.join(where)}: {reason}" if where else reason
    return InvalidInput(message, hint=hint, row=row, feature=feature)


def found(value: Any) -> str:
    """Return a value as an error shows it: JSON, in ASCII, cut where it is long."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**20:
        return "an integer of more than 20 digits"
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        return quote(str(value))


def quote(text: str) -> str:
    """Return the text in quotes; what could break a log line or a header is escaped."""
    shown = text if len(text) <= FOUND_LENGTH_MAX else text[:FOUND_LENGTH_MAX] + "…"
    inner = "".join(
        char
        if char.isprintable() and char != '"'
        else char.encode("unicode_escape").decode()
        if char != '"'
        else '\\"'
        for char in shown
    )
    return f'"{inner}"'


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is most like `name`, quoted; None where none is alike."""
    near = difflib.get_close_matches(name[:NAME_COMPARED_MAX], names, n=1)
    return quote(near[0]) if near else None

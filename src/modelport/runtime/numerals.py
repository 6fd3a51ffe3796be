"""Numbers and truth values as CSV files write them."""

from __future__ import annotations

import math
import re
from contextlib import suppress

BOOLEANS = {"true": True, "True": True, "TRUE": True, "1": True} | {
    "false": False,
    "False": False,
    "FALSE": False,
    "0": False,
}
NUMERIC_TEXT = re.compile(r"[ \t]*[+-]?([0-9.]|inf|nan)[0-9a-z.+-]*[ \t]*", re.ASCII | re.IGNORECASE)


def parse_number(text: str, *, whole: bool) -> float | int | None:
    """Read a number as CSV files write it; None when it is none.

    Python's own readers also take `1_000` and digits of other scripts, which no CSV file means.
    """
    if not NUMERIC_TEXT.fullmatch(text):
        return None
    try:
        if whole:
            with suppress(ValueError):
                return int(text)
        number = float(text)
    except ValueError:
        return None
    return None if math.isinf(number) and "n" not in text.lower() else number  # 1e999 is no infinity


def read_number(text: str) -> float:
    """Return a CSV cell's number.

    Raises:
        ValueError: It is none.
    """
    number = parse_number(text, whole=False)
    if number is None:
        raise ValueError(text)
    return float(number)


def read_integer(text: str) -> int:
    """Return a CSV cell's integer.

    Raises:
        ValueError: It is none.
    """
    number = parse_number(text, whole=True)
    if not isinstance(number, int):
        raise ValueError(text)  # noqa: TRY004 - what int() raises
    return number

"""Where records end in text: cutting CSV and JSON Lines into pieces that hold whole records."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

NEWLINE, QUOTE = b"\n", b'"'
BEFORE_A_QUOTE = np.frombuffer(b',\n\r"', dtype=np.uint8)
OPENING = re.compile(rb'(?:\A|[,\r\n])"')
REST_OF_QUOTED = re.compile(rb'[^"]*+(?:""[^"]*+)*+"')


def last_end(data: bytes, *, quoted: bool) -> int:
    """Return how many bytes at the start of `data` are whole records; 0 when no record ends in it.

    Args:
        data: Begins at the start of a record.
        quoted: CSV: a newline between quotes is part of its cell. JSON Lines has no such thing.

    Source: RFC 4180; as Arrow and pandas do, a quote opens a cell only at the cell's beginning.
    """
    if not quoted or QUOTE not in data:
        return data.rfind(NEWLINE) + 1
    places = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == QUOTE[0])
    if not _well_formed(data, places):
        return _last_end_slowly(data)
    end = len(data)
    while True:
        newline = data.rfind(NEWLINE, 0, end)
        if newline < 0 or np.searchsorted(places, newline) % 2 == 0:
            return newline + 1
        end = int(places[np.searchsorted(places, newline) - 1])


def _well_formed(data: bytes, places: NDArray[np.intp]) -> bool:
    """Return whether every second quote stands where a cell begins (or doubles the one before).

    Then counting quotes tells inside from outside.
    """
    opening = places[::2]
    opening = opening[opening > 0]
    return bool(np.isin(np.frombuffer(data, dtype=np.uint8)[opening - 1], BEFORE_A_QUOTE).all())


def _last_end_slowly(data: bytes) -> int:
    """Walk from quoted cell to quoted cell, for files with quotes inside unquoted cells."""
    position = end = 0
    while opening := OPENING.search(data, position):
        end = max(end, data.rfind(NEWLINE, position, opening.end()) + 1)
        rest = REST_OF_QUOTED.match(data, opening.end())
        if rest is None:
            return end
        position = rest.end()
    return max(end, data.rfind(NEWLINE, position) + 1)

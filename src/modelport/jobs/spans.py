"""Cutting time into spans of a round length."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

SPANS_MAX = 14
LENGTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
LENGTHS_H = (1, 2, 3, 6, 12, 24, 48, 168, 336, 672, 2016, 8064)


def split(at: NDArray[np.float64]) -> list[tuple[datetime, datetime, NDArray[np.int64]]]:
    """Return spans of one round length that hold all moments, empty ones left out.

    Args:
        at: Seconds since 1970, rising, shape [n].

    Returns:
        (start, end, places in `at`) of each, at most about `SPANS_MAX`.
    """
    if len(at) == 0:
        return []
    lengths = [*LENGTHS_S, *(3600 * hours for hours in LENGTHS_H)]
    span = float(at[-1] - at[0])
    length = next((one for one in lengths if span <= one * (SPANS_MAX - 1)), lengths[-1])
    numbers = np.floor(at / length).astype(np.int64)
    spans = []
    for number in np.unique(numbers).tolist():
        first, last = np.searchsorted(numbers, [number, number + 1])
        start = datetime.fromtimestamp(number * length, UTC)
        end = datetime.fromtimestamp((number + 1) * length, UTC)
        spans.append((start, end, np.arange(first, last, dtype=np.int64)))
    return spans

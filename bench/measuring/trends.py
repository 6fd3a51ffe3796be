"""Does something grow? Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

PAIRS_MAX = 400


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the Theil–Sen slope of y over x: the median of the slopes between points, deaf to outliers.

    Args:
        x: Rising.
        y: As many.

    Returns:
        0 for fewer than two different x.
    """
    step = max(1, len(x) // PAIRS_MAX)
    points = list(zip(x, y, strict=True))[::step]
    slopes = [
        (second[1] - first[1]) / (second[0] - first[0])
        for at, first in enumerate(points)
        for second in points[at + 1 :]
        if second[0] > first[0]
    ]
    return statistics.median(slopes) if slopes else 0.0

"""Back through preprocessing: which raw numbers stand at a threshold, and which are too large.

Everything is bisection over the doubles themselves, in their own order, so what is found is exact to the
last bit for any column that comes monotonically from one feature.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modelport.formats.elementwise import Chain

Floats = NDArray[np.float64]
LARGEST = float(np.finfo(np.float64).max)
SIGN = np.uint64(1 << 63)
GRID = 256
STEPS = 64  # a double has that many bits


def raw_thresholds(chain: Chain, thresholds: Floats, lower: float, upper: float) -> Floats:
    """Return the raw values between which a column crosses each threshold.

    Args:
        chain: How the column comes from its feature, with every rounding on the way.
        thresholds: float64 `[T]`: a row goes left when the column is ≤ the threshold.
        lower: Smallest raw value to look at, finite.
        upper: Largest raw value to look at, finite.

    Returns:
        float64, rising: for each threshold that is crossed the last raw value on one side and the first
        on the other, which are neighbours.
    """
    goal = np.unique(thresholds[np.isfinite(thresholds)])

    def left(values: Floats, wanted: NDArray[np.intp]) -> NDArray[np.bool_]:
        return np.asarray(chain.compute(values) <= goal[wanted])

    low, high = np.full(len(goal), lower), np.full(len(goal), upper)
    every = np.arange(len(goal))
    crossed = every[left(low, every) != left(high, every)]
    return np.unique(_bisect(low[crossed], high[crossed], lambda values: left(values, crossed)))


def last_left(chain: Chain, thresholds: Floats) -> Floats:
    """Return for each threshold the largest raw value whose column does not exceed it.

    Args:
        chain: How the column comes from its feature; it rises with the feature (`Chain.rises`). Where it is
            not a number, as the logarithm below 0, the raw value counts as lower than every threshold.
        thresholds: float64 `[T]`.

    Returns:
        float64 `[T]`: a finite raw value goes left exactly when it is ≤ this.
    """
    goal, places = np.unique(thresholds, return_inverse=True)

    def left(values: Floats) -> NDArray[np.bool_]:
        column = chain.compute(values)
        return np.asarray((column <= goal) | np.isnan(column))

    low, high = np.full(len(goal), -np.inf), np.full(len(goal), np.inf)
    always, never = left(high), ~left(low)
    found = _bisect(low, high, left)[: len(goal)]
    return np.where(always, np.inf, np.where(never, -np.inf, found))[places]


def finite_range(chains: list[Chain], start: float) -> tuple[float, float]:
    """Return the smallest and the largest raw value for which every column is finite.

    Args:
        chains: Columns that come from one feature, with every rounding on the way.
        start: A raw value for which they all are.

    Returns:
        Finite doubles around `start`.
    """

    def finite(values: Floats) -> NDArray[np.bool_]:
        found = [np.isfinite(chain.compute(values)) for chain in chains]
        return np.asarray(np.logical_and.reduce(found))

    ends = []
    for end in (-LARGEST, LARGEST):
        if not chains or finite(np.array([end]))[0]:
            ends.append(end)
        else:
            ends.append(_last_inside(start, end, finite))
    return ends[0], ends[1]


def _bisect(low: Floats, high: Floats, decide: Callable[[Floats], NDArray[np.bool_]]) -> Floats:
    """Return the neighbouring doubles between which `decide` changes, all lower ones, then all upper ones."""
    if not len(low):
        return low
    at_low = decide(low)
    first, last = _rank(low), _rank(high)
    for _ in range(STEPS):
        # the middle of two ranks, without overflow
        middle = (first & last) + ((first ^ last) >> np.uint64(1))
        same = decide(_unrank(middle)) == at_low
        first, last = np.where(same, middle, first), np.where(same, last, middle)
    return np.concatenate([_unrank(first), _unrank(last)])


def _last_inside(inside: float, outside: float, decide: Callable[[Floats], NDArray[np.bool_]]) -> float:
    """Return the last double between two for which `decide` holds, asking about many at a time."""
    first, last = (int(_rank(np.array([each]))[0]) for each in (inside, outside))
    while abs(last - first) > 1:
        step = max(1, abs(last - first) // GRID)
        ranks = range(first, last, step if last > first else -step)
        found = decide(_unrank(np.fromiter(ranks, np.uint64)))
        count = int(np.argmin(found)) if not found.all() else len(found)
        first, last = ranks[count - 1], ranks[count] if count < len(ranks) else last
    return float(_unrank(np.array([first], np.uint64))[0])


def _rank(values: Floats) -> NDArray[np.uint64]:
    """Return integers in the order of the doubles."""
    bits = values.view(np.uint64)
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def _unrank(ranks: NDArray[np.uint64]) -> Floats:
    return np.where(ranks & SIGN, ranks & ~SIGN, ~ranks).view(np.float64)

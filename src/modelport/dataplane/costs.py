"""What a call of a model costs, by its rows: measured when the model is warmed up, and what follows from it.

Two decisions follow. *Where* a call runs: one predicted to take longer than `INLINE_S` leaves the loop for
the model's own thread, for a loop that is held up holds up every model of the worker. *How many* rows share a
call: as many as make a row cheaper, and no more, for each of them waits for all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

INLINE_S = 0.0005
"""A call predicted to be longer leaves the loop.

The hop to a thread and back costs 20 to 60 µs of processor time and a wait for the interpreter lock; a call
of less than ten times that is cheaper where it is. And whoever shares the loop waits for it: at half a
millisecond a light model's answer is late by less than the network's own scatter.
"""

ROWS = (1, 8, 32, 256)
WORTH = 1.1
"""A larger call that makes a row at most 10 % cheaper is not worth the wait."""
ENOUGH = 5  # runs of one size
SIZE_S = 0.01  # spent on one size at most, once it ran
LONGEST_S = 0.05  # a call predicted to be longer is not tried


@dataclass(frozen=True, slots=True)
class Costs:
    """What calls of a model take.

    Args:
        points: `(rows, seconds)` of calls, by rows, at least one.
    """

    points: tuple[tuple[int, float], ...]

    def seconds(self, rows: int) -> float:
        """Return what a call of so many rows takes: between two measured sizes on the line through them.

        Beyond the largest size a row costs what it costs on average there, below the smallest a call costs
        what the smallest does.
        """
        sizes = [size for size, _ in self.points]
        place = bisect_left(sizes, rows)
        if place == 0:
            return self.points[0][1]
        if place < len(sizes) and sizes[place] == rows:
            return self.points[place][1]
        if place == len(sizes):
            last, seconds = self.points[-1]
            return seconds * rows / last
        (low, from_s), (high, to_s) = self.points[place - 1], self.points[place]
        return from_s + (to_s - from_s) * (rows - low) / (high - low)

    def rows_within(self, seconds: float) -> int:
        """Return how many rows a call of at most `seconds` has; 0 when one is too many."""
        if self.seconds(1) > seconds:
            return 0
        few, many = 1, 2
        while self.seconds(many) <= seconds and many < 1 << 24:
            few, many = many, many * 2
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (middle, many) if self.seconds(middle) <= seconds else (few, middle)
        return few

    @property
    def worthwhile_rows(self) -> int:
        """Return the rows of the smallest call that makes a row about as cheap as it gets."""
        best = min(seconds / rows for rows, seconds in self.points)
        return next(rows for rows, seconds in self.points if seconds / rows <= best * WORTH)

    @property
    def row_s(self) -> float:
        """Return what a row takes in such a call, in seconds."""
        rows = self.worthwhile_rows
        return self.seconds(rows) / rows


class Measurable(Protocol):
    """A model as `measure_costs` needs it."""

    def ordinary_rows(self, count: int) -> NDArray[np.float64]:
        """Return different rows as requests have them, float64 `[count, features]`."""
        ...

    def run(self, matrix: NDArray[np.float64]) -> object:
        """Answer them."""
        ...


def measure_costs(model: Measurable, now: Callable[[], float]) -> Costs:
    """Return what calls of a warm model take: the best of a few runs of each size.

    Each call gets the next of the model's ordinary rows, for a tree is quick on rows it has just seen.

    Args:
        model: In memory and warm.
        now: Monotonic seconds.
    """
    matrix, run = model.ordinary_rows(max(ROWS)), model.run
    points: list[tuple[int, float]] = []
    at = 0
    for size in ROWS:
        if points and points[-1][1] * size / points[-1][0] > LONGEST_S:
            break
        best, spent, runs = float("inf"), 0.0, 0
        while runs < ENOUGH and (runs == 0 or spent < SIZE_S):
            block = np.take(matrix, range(at, at + size), axis=0, mode="wrap")
            at += size
            began = now()
            try:
                run(block)
            except Exception:  # noqa: BLE001 - a model that dislikes these rows is not measured, and kept off the loop
                return Costs(((1, 1.0),))
            seconds = now() - began
            best, spent, runs = min(best, seconds), spent + seconds, runs + 1
        points.append((size, best))
    return Costs(tuple(points))

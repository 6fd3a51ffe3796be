"""Does a row's answer depend on how many rows stand beside it? Measured, and what follows from it.

Libraries of numerics compute several numbers at once and the last few in another way, or add a single row in
another order than many. The difference is a last bit or a few, but it makes answers depend on what other
clients happen to ask. So every model is asked each of some rows alone and among others; one that answers
differently is marked, and its requests run one by one unless the deployer allows the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.runtime.outputs import Outputs

SIZES = (8, 32, 256)
ROWS = max(SIZES)
SPEND_S = 0.03  # in a hurry: spent on rows alone at most, once the first was asked
LONGEST_S = 0.05  # in a hurry: a call predicted to take longer is not tried
OTHER_KIND = float(np.finfo(np.float64).max)
"""Stands for NaN or infinity on one side only: more than any number allows."""


def measure_batch_difference(
    run: Callable[[NDArray[np.float64]], Outputs],
    matrix: NDArray[np.float64],
    now: Callable[[], float],
    *,
    hurry: bool = False,
) -> float:
    """Return the largest difference between answers to a row alone and inside 8, 32 and 256 rows.

    Args:
        run: The model's run.
        matrix: Rows it answers, float64 `[N, features]`, N at least 1; the first 256 are asked.
        now: Monotonic seconds.
        hurry: Ask fewer rows of a slow model: at a load, while others wait.

    Returns:
        0.0 where every bit is the same; else the largest distance of two numbers, as a share of
        max(1, |answer|); 1 at least where a label changes, and the largest float64 where NaN or infinity
        stands on one side only.
    """
    rows = np.ascontiguousarray(matrix[:ROWS])
    began = now()
    alone: list[list[NDArray[Any]]] = []
    for place in range(len(rows)):
        alone.append(_parts(run(rows[place : place + 1])))
        if hurry and now() - began > SPEND_S:
            break
    asked = len(alone)
    one_s = (now() - began) / asked
    wanted = [np.concatenate(parts) for parts in zip(*alone, strict=True)]
    worst = 0.0
    for size in SIZES:
        if hurry and size * one_s > LONGEST_S:
            break
        for start in range(0, asked, size):
            block = np.take(rows, range(start, start + size), axis=0, mode="wrap")
            stop = min(asked, start + size)
            for whole, part in zip(wanted, _parts(run(block)), strict=True):
                worst = max(worst, _distance(whole[start:stop], part[: stop - start]))
    return worst


def shared_rows(difference: float, allowed: float, rows_max: int) -> int:
    """Return how many rows of several requests may share a call: 1 keeps requests apart.

    Args:
        difference: What was measured.
        allowed: What the deployer allows.
        rows_max: The limit for models whose answers may be shared.
    """
    return rows_max if difference <= allowed else 1


def _parts(outputs: Outputs) -> list[NDArray[Any]]:
    found = (outputs.label, outputs.probabilities, outputs.predictions)
    return [part for part in found if part is not None]


def _distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    if first.dtype.kind == "i":
        return float((first != second).any())
    finite = np.isfinite(first) & np.isfinite(second)
    same = finite | (first == second) | (np.isnan(first) & np.isnan(second))
    if not same.all():
        return OTHER_KIND
    with np.errstate(over="ignore"):
        distance = np.subtract(first, second, out=np.zeros_like(first), where=finite)
    size = np.maximum(1.0, np.abs(np.where(finite, first, 1.0)))
    return float(min((np.abs(distance) / size).max(initial=0.0), OTHER_KIND))

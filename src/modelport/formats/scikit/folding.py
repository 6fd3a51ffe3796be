"""Scalers in front of a linear model, folded into its weights: two nodes less in each call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.formats.blocks import Number

Floats = NDArray[Any]
ROUNDING = 2.0**-53
ALLOWED = 5e-13  # half of the linear models' bar, see docs/explanation/parity.md
STEPS = 8  # roundings in each product that are not counted as one of the sum's


def unscaled(
    columns: Sequence[Number], weights: Floats, intercept: Floats
) -> tuple[list[Number], Floats, Floats]:
    """Return the columns before their scalers, with weights and intercept that give the same sums.

    A scaled column is z = a·x + c, thus Σ w·z + b = Σ (w·a)·x + (b + Σ w·c). In exact arithmetic these are
    equal; rounded, the second is off by at most n·u·(Σ|w·z| + |b| + 2·Σ|w·c|), for n terms and the rounding
    unit u. So it may be more than the bar allows where Σ|w·c| is large (numbers far from 0 that vary little),
    and then nothing is folded: this is decided for all rows that there can be, not for those of the proof.

    Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 3.1.

    Args:
        columns: n columns of numbers.
        weights: float64 `[n, K]`.
        intercept: `[K]`.
    """
    before, factors, shifts = zip(*map(_line, columns), strict=True) if columns else ((), (), ())
    factor = np.array(factors, np.longdouble)[:, np.newaxis]
    shift = np.array(shifts, np.longdouble)[:, np.newaxis] * weights
    folded = (factor * weights).astype(np.float64)
    moved = np.abs(shift).sum(axis=0).max(initial=0.0)
    error = (len(columns) + STEPS) * ROUNDING * 2 * moved
    lost = (folded == 0) & (weights != 0)  # rounded away, as only absurd scales do
    if not columns or error > ALLOWED or lost.any() or not np.isfinite(folded).all():
        return list(columns), weights, intercept
    return list(before), folded, (intercept + shift.sum(axis=0)).astype(np.float64)


def _line(column: Number) -> tuple[Number, np.longdouble, np.longdouble]:
    """Return the column that scalers made this one of, and a and c of a·x + c."""
    factor, shift = np.longdouble(1), np.longdouble(0)
    while column.made_of is not None and not column.single:
        before, operation = column.made_of
        if operation.kind not in {"add", "subtract", "multiply", "divide"}:
            break
        constant = np.longdouble(operation.constants[0][0])
        if operation.kind == "add":
            shift += factor * constant
        elif operation.kind == "subtract":
            shift -= factor * constant
        elif operation.kind == "multiply":
            factor *= constant
        else:
            factor /= constant
        column = before
    return column, factor, shift

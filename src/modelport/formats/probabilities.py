"""From raw sums to labels and probabilities, written so that a row's place in its batch does not matter.

ONNX Runtime computes `Exp` of doubles (and what contains it) two numbers at a time, and a last odd one with
another routine: the same number may then differ in its last bit. Rows of an even width are computed in pairs
wherever they stand, so sums are spread over an even number of columns first. Sums of a row are products with
a matrix, or added in order: `ReduceSum` and `Softmax` add a single row in another order than several.
What was measured of each operator: docs/explanation/one-row-or-many.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelport.formats.graph import Graph

Floats = NDArray[np.float64]
SAME_AT_ANY_PLACE = (2, 4)  # widths at which Softmax has no second order to add in


@dataclass(frozen=True, eq=False, slots=True)
class Spread:
    """How K raw sums become W columns: raw · matrix + offset.

    Linear models fold it into their weights, where it costs nothing.

    Args:
        matrix: float64 `[K, W]`, of zeros and powers of two, at most one in each column: products are exact.
        offset: float64 `[W]`: 0, or -inf for a last column that is never the largest and whose share is 0.
    """

    matrix: Floats
    offset: Floats

    def write(self, graph: Graph, raw: str) -> str:
        """Return the columns, float64 `[N, W]`, of finite sums `[N, K]`."""
        if self.offset.any():
            pads = graph.constant([0, 0, 0, 1], np.int64)
            return graph.add("Pad", raw, pads, graph.constant(np.float64(-np.inf)))
        if np.array_equal(self.matrix, np.eye(len(self.matrix))):
            return raw
        return graph.add("MatMul", raw, graph.constant(self.matrix))


def unchanged(count: int) -> Spread:
    """Return the columns as they are."""
    return Spread(np.eye(count), np.zeros(count))


def against_zero(factor: float = 1.0) -> Spread:
    """Return (0, factor · raw): a sum for each of two classes. The factor is a power of two."""
    return Spread(np.array([[0.0, factor]]), np.zeros(2))


def opposed() -> Spread:
    """Return (-raw, raw)."""
    return Spread(np.array([[-1.0, 1.0]]), np.zeros(2))


def doubled() -> Spread:
    """Return (raw, raw), for an operator that needs a pair."""
    return Spread(np.ones((1, 2)), np.zeros(2))


def evened(count: int) -> Spread:
    """Return the columns, and one of -inf where their number is odd."""
    width = count + count % 2
    return Spread(np.eye(count, width), np.where(np.arange(width) < count, 0.0, -np.inf))


def label_of(graph: Graph, sums: str, *, tie: int = 0) -> str:
    """Write the place of the largest sum, int64 `[N]`: the first of equal ones, or with `tie=1` the last."""
    return graph.add("ArgMax", sums, axis=1, keepdims=0, select_last_index=tie)


def softmax(graph: Graph, sums: str, count: int) -> str:
    """Write e^(x - m) / Σ e^(x - m) of each row, m its largest number.

    For two classes with the sums (0, d) that is the logistic function and what it leaves of 1.

    Args:
        graph: Where to.
        sums: float64 `[N, W]`, spread by `evened` or `against_zero`.
        count: How many of the columns are classes.

    Returns:
        float64 `[N, count]`.
    """
    width = count + count % 2
    if width in SAME_AT_ANY_PLACE:
        shares = graph.add("Softmax", sums, axis=1)
    else:
        largest = graph.add("ReduceMax", sums, graph.constant([1], np.int64), keepdims=1)
        powers = graph.add("Exp", graph.add("Sub", sums, largest))
        shares = graph.add("LpNormalization", powers, axis=1, p=1)  # adds one after the other
    return shares if width == count else graph.first(shares, count)


def exponential(graph: Graph, raw: str) -> str:
    """Write e^raw of one sum, float64 `[N, 1]`."""
    return graph.first(graph.add("Exp", doubled().write(graph, raw)), 1)


def row_sums(graph: Graph, table: str, width: int) -> str:
    """Write the sum of each row of finite numbers `[N, width]`, float64 `[N, 1]`."""
    return graph.add("MatMul", table, graph.constant(np.ones((width, 1))))

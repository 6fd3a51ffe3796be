"""Costs of models that tests make up."""

from __future__ import annotations

from collections.abc import Sequence

from modelport.dataplane.costs import ROWS, Costs


def line(fixed_s: float, row_s: float, rows: Sequence[int] = ROWS) -> Costs:
    """Return the costs of a model whose calls take `fixed_s` and `row_s` more for each row, in seconds."""
    return Costs(tuple((size, fixed_s + row_s * size) for size in rows))

"""What a model's converter hands back once its nodes are written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelport.formats.elementwise import Chain

FLOAT32_SCALE = 1e6  # 1e-12 of a double sum becomes 1e-6 of a float32 sum


@dataclass(frozen=True, slots=True)
class Splits:
    """Where trees turn on one column.

    Args:
        chain: How the column comes from its feature, as the trees see it.
        thresholds: float64 `[T]`, distinct.
    """

    chain: Chain
    thresholds: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Emission:
    """A model's answers as tensors of the graph.

    Args:
        family: Which parity bar applies.
        label: int64 `[N]`; None for regression.
        probabilities: float64 `[N, K]`; None for regression and where the original gives none.
        predictions: float64 `[N, T]`; None for classification.
        targets: How many numbers are predicted, T.
        splits: Where trees turn.
        scale: Σ|wᵢxᵢ| of each row, float64 `[N]`; None where no linear bar applies.
        seen: Columns as the model sees them, for the range of numbers it takes: their chains.
        limits: What must be finite for the columns that come from several features.
    """

    family: str
    label: str | None = None
    probabilities: str | None = None
    predictions: str | None = None
    targets: int = 1
    splits: tuple[Splits, ...] = ()
    scale: str | None = None
    seen: tuple[Chain, ...] = ()
    limits: tuple[Chain, ...] = ()

"""What one run of a model gives: arrays with one entry per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Outputs:
    """The answers for N rows.

    Args:
        label: int64 `[N]`, index into `signature.output.labels`; None for regression.
        probabilities: float64 `[N, K]`; None where the model gives none.
        predictions: float64 `[N, T]`; None for classification.
    """

    __slots__ = ("_finite", "_lists", "label", "predictions", "probabilities")

    def __init__(
        self,
        label: NDArray[np.int64] | None = None,
        probabilities: NDArray[np.float64] | None = None,
        predictions: NDArray[np.float64] | None = None,
    ) -> None:
        self.label = label
        self.probabilities = probabilities
        self.predictions = predictions
        self._lists: tuple[list[Any], list[Any] | None] | None = None
        self._finite: bool | None = None

    @property
    def finite(self) -> bool:
        """Whether all numbers are: no NaN, no infinity. Computed once."""
        known = self._finite
        if known is None:
            numbers = self.probabilities if self.predictions is None else self.predictions
            known = self._finite = numbers is None or np.count_nonzero(np.isfinite(numbers)) == numbers.size
        return known

    def __len__(self) -> int:
        first = self.predictions if self.label is None else self.label
        return 0 if first is None else len(first)

    def lists(self) -> tuple[list[Any], list[Any] | None]:
        """Return (labels or prediction rows, probability rows or None) as Python numbers.

        Computed once: requests that shared a run share this too.
        """
        made = self._lists
        if made is None:
            first = self.predictions if self.label is None else self.label
            made = self._lists = (
                [] if first is None else first.tolist(),
                None if self.probabilities is None else self.probabilities.tolist(),
            )
        return made

    def rows(self, start: int, stop: int) -> Outputs:
        """Return the answers of rows `start` to `stop` (exclusive), without copying."""
        return Outputs(
            None if self.label is None else self.label[start:stop],
            None if self.probabilities is None else self.probabilities[start:stop],
            None if self.predictions is None else self.predictions[start:stop],
        )


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Return the answers of several runs of one model, one after the other.

    Args:
        parts: At least one.
    """
    if len(parts) == 1:
        return parts[0]
    labels = [part.label for part in parts if part.label is not None]
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    predictions = [part.predictions for part in parts if part.predictions is not None]
    return Outputs(
        np.concatenate(labels) if labels else None,
        np.concatenate(probabilities) if probabilities else None,
        np.concatenate(predictions) if predictions else None,
    )

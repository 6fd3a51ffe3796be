"""`application/x-npy` replies: one NumPy array with an entry per row.

* Regression: float64 `[n]`, or `[n, targets]` for several.
* Labels alone: `[n]` of their type (fixed-length text, int64, float64 or bool).
* Labels with probabilities: `[n]` of the structured type `prediction`, `probabilities` (float64 `[classes]`).

`np.load` reads all of them without unpickling.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Output, Value
from modelport.runtime.outputs import Outputs


class NpyEncoder:
    """Writes npy replies.

    Args:
        output: What the model answers.
    """

    content_type = "application/x-npy"
    off_loop = False

    def __init__(self, output: Output) -> None:
        self._labels = label_array(output.labels)
        self._single = len(output.targets) == 1

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Return the array of rows `start` to `stop` (exclusive)."""
        part = outputs.rows(start, stop)
        array: NDArray[Any]
        if part.label is None:
            numbers = np.asarray(part.predictions)
            array = numbers[:, 0] if self._single else numbers
        elif part.probabilities is None:
            array = self._labels[part.label]
        else:
            classes = part.probabilities.shape[1]
            array = np.empty(
                len(part.label),
                [("prediction", self._labels.dtype), ("probabilities", np.dtype("<f8"), (classes,))],
            )
            array["prediction"] = self._labels[part.label]
            array["probabilities"] = part.probabilities
        file = io.BytesIO()
        np.lib.format.write_array(file, array, allow_pickle=False)
        return file.getvalue()


def label_array(labels: tuple[Value, ...]) -> NDArray[Any]:
    """Return the labels as an array of their own type; mixed ones as text."""
    kinds = {type(label) for label in labels}
    if kinds <= {int, float} or kinds == {bool}:
        return np.array(labels)
    return np.array([str(label) for label in labels])

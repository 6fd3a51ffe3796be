"""Does a model answer a row alone as it answers it among others, bit by bit?"""

from __future__ import annotations

import numpy as np

SIZES = (2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100, 255, 256, 257, 300)


def answers_of(outputs):
    """Return the arrays of an answer."""
    return [part for part in (outputs.label, outputs.probabilities, outputs.predictions) if part is not None]


def each_alone(run, matrix):
    """Return the answers to rows that were asked one at a time, as arrays of all rows."""
    parts = zip(*(answers_of(run(matrix[row : row + 1])) for row in range(len(matrix))), strict=True)
    return [np.concatenate(part) for part in parts]


def assert_alike(run, matrix, alone, start, count):
    """Assert that `count` rows from `start` on, taken round the end, are answered as each of them alone."""
    rows = (start + np.arange(count)) % len(matrix)
    for expected, found in zip(alone, answers_of(run(matrix[rows])), strict=True):
        equal = np.array_equal(expected[rows], found, equal_nan=found.dtype.kind == "f")
        assert equal, f"rows {start} to {start + count} together are answered in another way than alone"

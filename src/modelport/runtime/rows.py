"""Decoded rows of one request."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

FLOAT64 = np.dtype("<f8")
FLOAT32 = np.dtype("<f4")


class Rows(msgspec.Struct, gc=False):
    """Rows as they go into the serving matrix.

    Args:
        data: float64, little-endian, row-major: `count * features * 8` bytes; float32 and half as many
            with `single`.
        count: Number of rows, at least 1.
        wish: What the request says about its reply, for the encoder of its protocol; None in protocols
            whose requests say nothing about it.
    """

    data: bytes | memoryview
    count: int
    wish: Any = None
    single: bool = False

    @property
    def element(self) -> np.dtype[Any]:
        """Return what the numbers are."""
        return FLOAT32 if self.single else FLOAT64

    def matrix(self) -> NDArray[np.float64]:
        """Return the rows as float64 `[count, features]`, copied only where they are of another type."""
        return np.frombuffer(self.data, self.element).astype(FLOAT64, copy=False).reshape(self.count, -1)

    def narrowed(self) -> Rows:
        """Return the rows as float32, each number rounded to the nearest."""
        if self.single:
            return self
        with np.errstate(over="ignore"):
            data = np.frombuffer(self.data, FLOAT64).astype(FLOAT32).data.cast("B")
        return Rows(data, self.count, self.wish, single=True)

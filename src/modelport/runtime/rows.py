"""Decoded rows of one request."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


class Rows(msgspec.Struct, gc=False):
    """Rows as they go into the serving matrix.

    Args:
        data: float64, little-endian, row-major: `count * features * 8` bytes.
        count: Number of rows, at least 1.
        wish: What the request says about its reply, for the encoder of its protocol; None in protocols
            whose requests say nothing about it.
    """

    data: bytes | memoryview
    count: int
    wish: Any = None

    def matrix(self) -> NDArray[np.float64]:
        """Return the rows as float64 `[count, features]`, without copying."""
        return np.frombuffer(self.data, np.float64).reshape(self.count, -1)

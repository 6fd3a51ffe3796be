"""The kernel for trees in memory, ready to be called."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np

from modelport.runtime.compiled.code_file import TREES
from modelport.runtime.compiled.machine_code import Unusable, load_code
from modelport.runtime.trees.layout import WHOLE, Array

Predict = Callable[[int, int, int, int], int]
"""Called with the address of a plan and three array objects; returns 0, or `layout.DECLINED`."""

KIND = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)  # releases the interpreter lock


def load_predict(folder: Path) -> Predict:
    """Return the kernel.

    Args:
        folder: Where compiled kernels are kept.

    Raises:
        Unusable: There is none that can be used.
    """
    address = load_code(folder, TREES)
    _check_arrays()
    return KIND(address)


def _check_arrays() -> None:
    """See that numpy's array objects lie in memory as `layout.Array` says.

    Raises:
        Unusable: They do not.
    """
    array = np.arange(6, dtype=np.float64).reshape(2, 3)
    start = id(array) + object.__basicsize__

    def word(field: Array) -> int:
        return ctypes.c_int64.from_address(start + field).value

    shape = (ctypes.c_int64 * 2).from_address(word(Array.SHAPE))
    if (
        word(Array.TYPE) != id(np.ndarray)
        or word(Array.DATA) != array.ctypes.data
        or word(Array.DIMENSIONS) & 0xFFFFFFFF != array.ndim
        or tuple(shape) != array.shape
        or word(Array.DTYPE) != id(np.dtype(np.float64))
        or word(Array.FLAGS) & WHOLE != WHOLE
    ):
        raise Unusable("numpy's arrays lie in memory in a way that the kernel does not know")

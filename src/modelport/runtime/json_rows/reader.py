"""The kernel with the tables of one model, and the call that reads a body with it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from modelport.runtime.cells import Cell
from modelport.runtime.compiled.code_file import JSON_ROWS
from modelport.runtime.compiled.machine_code import load_code
from modelport.runtime.json_rows.tables import Tables
from modelport.runtime.rows import Rows

ARGUMENTS = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
BRIEF = ctypes.PYFUNCTYPE(ctypes.c_int64, *ARGUMENTS)  # keeps the interpreter lock
LENGTHY = ctypes.CFUNCTYPE(ctypes.c_int64, *ARGUMENTS)  # lets others have it, and may wait for it afterwards
LENGTHY_BYTES = 256 << 10  # takes about as long as another thread may keep the lock
OPENING_OBJECT, OPENING_LIST = b"{["
SPACE = b" \t\n\r"
VALUE_BYTES_MIN = 2  # a digit and what divides it from the next


def count_byte(text: bytes, byte: int) -> int:
    """Return how often a byte stands in a long text, five times as fast as `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == byte))


Read = Callable[[int, bytes, int, int, int], int]


class RowsReader:
    """Reads the rows of one model.

    Args:
        cells: The rules of each feature.
        code: Address of the kernel.

    Raises:
        ValueError: The kernel does not know these features.
    """

    def __init__(self, cells: Sequence[Cell], code: int) -> None:
        self._tables = Tables(cells)
        self._width = len(cells)
        self._brief: Read = BRIEF(code)
        self._lengthy: Read = LENGTHY(code)

    def read(self, body: bytes, head: re.Pattern[bytes], *, wrapped: bool, keyed: bool) -> Rows | None:
        """Read a body of rows.

        Args:
            body: JSON.
            head: Matches what stands before the first row.
            wrapped: The list of rows is the only value of an object; else it is all there is.
            keyed: Rows are objects; else lists.

        Returns:
            The rows; None where the body is anything else, or anything in it is not plain.
        """
        begin, stop = head.match(body), body.rfind(b"]")
        if begin is None or body[stop + 1 :].strip(SPACE) != (b"}" if wrapped else b""):
            return None
        start = begin.end()
        count = count_byte(body, OPENING_OBJECT) - wrapped if keyed else count_byte(body, OPENING_LIST) - 1
        if count * self._width * VALUE_BYTES_MIN > len(body):
            return None
        out = np.empty(count * self._width)
        read = self._brief if len(body) < LENGTHY_BYTES else self._lengthy
        rows = read(self._tables.keyed if keyed else self._tables.listed, body, start, stop, out.ctypes.data)
        if rows < 0:
            return None
        return Rows(out[: rows * self._width].data.cast("B"), rows)


def load_reader(folder: Path, cells: Sequence[Cell]) -> RowsReader | None:
    """Return the kernel with a model's tables; None where it does not know the model's features.

    Args:
        folder: Where compiled kernels are kept.
        cells: The rules of each feature.

    Raises:
        Unusable: There is no kernel that can be used.
    """
    code = load_code(folder, JSON_ROWS)
    try:
        return RowsReader(cells, code)
    except ValueError:
        return None

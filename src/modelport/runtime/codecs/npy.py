"""`application/x-npy`: one NumPy array.

* `[n, features]` of any number type, in either memory order: a row per row;
* `[n, …]` of the shape of one row, for models of images;
* `[n]` of a structured type with a field per feature (numbers, booleans, fixed-length text), for mixed rows;
* `[n, features]` of fixed-length text, read as CSV cells are.

Nothing is unpickled, and nothing is allocated before the header's shape was found to match the bytes.

Source: NumPy, NEP 1 "A simple file format for NumPy arrays".
"""

from __future__ import annotations

import ast
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.runtime.codecs.arrays import NUMBERS, TEXTS, numbers, packed, plain_block, text_column
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.codecs.values import GeneralReader
from modelport.runtime.rows import Rows
from modelport.runtime.wording import located

MAGIC = b"\x93NUMPY"
HEADER_BYTES_MAX = 10_000  # as numpy.lib.format: Python's own parser is not safe on longer ones
HEADERS_KEPT_MAX = 64
HEADER_KEYS = {"descr", "fortran_order", "shape"}


class NpyDecoder:
    """Reads npy bodies.

    Args:
        schema: The model's generated fast path.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._cells = schema.cells
        self._reader = GeneralReader(schema.cells)
        self._row_shape = schema.signature.row_shape
        self._headers: dict[bytes, tuple[np.dtype[Any], bool, tuple[int, ...]]] = {}

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows.

        Raises:
            InvalidInput: The body is not a npy file, its type needs unpickling, its shape is not that of
                rows, or a value does not fit.
        """
        array = self.array(body)
        if array.dtype.names is not None:
            return self._read_fields(array)
        return self.read_table(array)

    in_passing = __call__

    def read_table(self, array: NDArray[Any]) -> Rows:
        """Return the rows of one array `[n, features]`, or `[n, …]` of the shape of one row.

        Raises:
            InvalidInput: Its type or shape is another, or a value does not fit.
        """
        if array.dtype.kind not in NUMBERS + TEXTS:
            raise InvalidInput(f"the array holds {array.dtype}, expected numbers or text")
        table = self._table(array)
        if table.dtype.kind in TEXTS:
            return packed([text_column(cell, table[:, j]) for j, cell in enumerate(self._cells)])
        if self._schema.plain:
            return plain_block(self._schema, table)
        return packed([numbers(cell, table[:, j]) for j, cell in enumerate(self._cells)])

    def _read_fields(self, array: NDArray[Any]) -> Rows:
        names = array.dtype.names or ()
        if array.ndim != 1 or not len(array):
            raise InvalidInput(
                f"found shape {array.shape} of a structured type, expected ({'n'},) with n at least 1"
            )
        order = self._reader.order_of(names, what="the array's type")
        columns: list[NDArray[np.float64]] = []
        for cell, at in zip(self._cells, order, strict=True):
            if at is None:
                columns.append(np.zeros(len(array)))
                continue
            column = array[names[at]]
            if column.ndim != 1 or column.dtype.kind not in NUMBERS + TEXTS:
                raise located(
                    None, cell.name, f"found {column.dtype} in the array, expected {cell.expected()}"
                )
            text = column.dtype.kind in TEXTS
            columns.append(text_column(cell, column) if text else numbers(cell, column))
        return packed(columns)

    def _table(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array as `[n, features]`."""
        width = self._schema.width
        shape = array.shape
        if self._row_shape is not None and shape[1:] == self._row_shape:
            array = array.reshape(len(array), width)
        if array.ndim != 2 or array.shape[1] != width:
            expected = f"(n, {width})" if self._row_shape is None else f"(n, {str(self._row_shape)[1:]}"
            hint = f"reshape it to (1, {width})" if shape == (width,) else None
            raise InvalidInput(f"found an array of shape {shape}, expected {expected}", hint=hint)
        if not len(array):
            raise InvalidInput("found no rows, expected at least one")
        return array

    def array(self, body: bytes) -> NDArray[Any]:
        """Return the array of a npy file, looking into the file's own memory.

        Raises:
            InvalidInput: The bytes are no npy file, or its type needs unpickling.
        """
        size = _header_size(body)
        header = body[:size]
        parsed = self._headers.get(header)
        if parsed is None:
            parsed = _parse_header(header)
            if len(self._headers) < HEADERS_KEPT_MAX:
                self._headers[header] = parsed
        dtype, fortran, shape = parsed
        wanted = math.prod(shape) * dtype.itemsize
        if wanted != len(body) - size:
            raise InvalidInput(
                f"the header says shape {shape} of {dtype.itemsize} bytes each = {wanted} bytes, "
                f"found {len(body) - size}",
                hint="the body was cut, or is not one array",
            )
        flat = np.frombuffer(body, dtype, math.prod(shape), size)
        return flat.reshape(shape, order="F" if fortran else "C")


def _header_size(body: bytes) -> int:
    """Return where the array's bytes begin."""
    if body[:6] != MAGIC:
        raise InvalidInput(
            "the body is not a npy file: it does not begin with \\x93NUMPY", hint="use np.save"
        )
    major = body[6] if len(body) > 6 else 0
    if major not in {1, 2, 3}:
        raise InvalidInput(f"found npy format version {major}, expected 1, 2 or 3")
    field = 2 if major == 1 else 4
    size = 8 + field + int.from_bytes(body[8 : 8 + field], "little")
    if len(body) < 8 + field or len(body) < size:
        raise InvalidInput("the npy header is cut short", hint="send the whole file")
    if size > HEADER_BYTES_MAX:
        raise InvalidInput(f"the npy header has {size} bytes, expected at most {HEADER_BYTES_MAX}")
    return size


def _parse_header(header: bytes) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Return (type, Fortran order, shape)."""
    field, encoding = (2, "latin1") if header[6] == 1 else (4, "latin1" if header[6] == 2 else "utf-8")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a malformed literal makes Python's parser talk
            fields = ast.literal_eval(header[8 + field :].decode(encoding).strip())
        if not isinstance(fields, dict) or fields.keys() != HEADER_KEYS:
            raise ValueError("expected the keys descr, fortran_order and shape")  # noqa: TRY301
        shape, fortran = fields["shape"], fields["fortran_order"]
        if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"shape {shape!r} is not a tuple of lengths")  # noqa: TRY301
        if not isinstance(fortran, bool):
            raise TypeError("fortran_order is neither True nor False")  # noqa: TRY301
        dtype = np.lib.format.descr_to_dtype(fields["descr"])
    except Exception as error:  # noqa: BLE001 - literal_eval and dtype raise whatever their input makes them
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InvalidInput(f"the npy header cannot be read: {reason}", hint="use np.save") from None
    if dtype.hasobject:
        raise InvalidInput(
            "the array holds Python objects, which would have to be unpickled; expected numbers or text",
            hint="use a number type, fixed-length text, or a structured type of these",
        )
    return dtype, fortran, shape

"""`application/x-npz`: several NumPy arrays, as `np.savez` writes them.

One array `[n]` or `[n, 1]` per feature, or one array `input` as in npy (`[n, features]`), for models trained
on a matrix. Members are unpacked one by one, within the limits of packed bodies; nothing is unpickled.

Source: NumPy, `np.savez`; PKWARE, APPNOTE.TXT (the end of the central directory).
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput, PayloadTooLarge
from modelport.runtime.cells import UNUSED, Cell
from modelport.runtime.codecs.arrays import NUMBERS, TEXTS, numbers, packed, text_column
from modelport.runtime.codecs.npy import NpyDecoder
from modelport.runtime.codecs.packing import Unpacking
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.codecs.tensors import INPUT
from modelport.runtime.codecs.values import VALUES_MAX, GeneralReader, Lengthy
from modelport.runtime.rows import Rows
from modelport.runtime.wording import located

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

END = b"PK\x05\x06"
END_BYTES = 22
DIRECTORY_BYTES_MAX = 1 << 20  # its entries become Python objects of half a kilobyte each
ZIP64 = b"PK\x06\x07"
ZIP64_BYTES = 20
SUFFIX = ".npy"


class NpzDecoder:
    """Reads npz bodies.

    Args:
        schema: The model's generated fast path.
        limits: What the members may unpack to, together.
    """

    def __init__(self, schema: Schema, limits: Unpacking) -> None:
        self._schema = schema
        self._limits = limits
        self._npy = NpyDecoder(schema)
        self._reader = GeneralReader(schema.cells)
        self._one = INPUT if schema.signature.matrix and INPUT not in schema.names else None

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows.

        Raises:
            PayloadTooLarge: Its arrays unpack to more than the limits allow.
            InvalidInput: The body is no npz file, or its arrays do not fit the model.
        """
        from zipfile import BadZipFile, ZipFile

        _check_directory(body)
        try:
            with ZipFile(io.BytesIO(body)) as archive:
                return self._read(archive, len(body))
        except (
            BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
            OSError,
        ) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise InvalidInput(f"the body is not a npz file: {reason}", hint="use np.savez") from None

    def in_passing(self, _body: bytes) -> Rows:
        """Refuse: its members may unpack to much more."""
        raise Lengthy

    def _read(self, archive: ZipFile, size: int) -> Rows:
        members = archive.infolist()
        limit = self._limits.limit(size)
        total = sum(member.file_size for member in members)
        if total > limit:
            raise PayloadTooLarge(
                f"the arrays unpack to {total} bytes, expected at most {limit} for a body of {size} bytes",
                hint="send fewer rows in one request",
            )
        names = [member.filename.removesuffix(SUFFIX) for member in members]
        if names == [self._one]:
            return self._npy.read_table(self._array(archive, members[0]))
        order = self._reader.order_of(names, what="the arrays")
        count: int | None = None
        columns: list[NDArray[np.float64] | None] = []
        for cell, at in zip(self._schema.cells, order, strict=True):
            column = None if at is None else self._column(cell, self._array(archive, members[at]))
            columns.append(column)
            if column is None:
                continue
            if count is None:
                count = len(column)
            elif len(column) != count:
                raise located(
                    None, cell.name, f"found {len(column)} values, expected {count} as in the others"
                )
        if not count:
            raise InvalidInput("found no rows, expected at least one")
        if count * self._schema.width > VALUES_MAX:
            raise PayloadTooLarge(f"found {count} rows, expected at most {VALUES_MAX} values in one request")
        return packed([np.full(count, UNUSED) if column is None else column for column in columns])

    def _array(self, archive: ZipFile, member: ZipInfo) -> NDArray[Any]:
        try:
            with archive.open(member) as file:
                return self._npy.array(file.read(member.file_size))
        except InvalidInput as error:
            name = member.filename.removesuffix(SUFFIX)
            raise located(None, name, error.message, hint=error.hint) from None

    def _column(self, cell: Cell, array: NDArray[Any]) -> NDArray[np.float64]:
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1 or array.dtype.kind not in NUMBERS + TEXTS:
            raise located(
                None,
                cell.name,
                f"found an array of {array.dtype} of shape {array.shape}, "
                f"expected {cell.expected()} of shape (n,)",
            )
        return text_column(cell, array) if array.dtype.kind in TEXTS else numbers(cell, array)


def _check_directory(body: bytes) -> None:
    """Refuse an archive whose table of contents would take more memory than the arrays.

    Raises:
        InvalidInput: It is one, or the body does not end as np.savez ends it.
    """
    end = len(body) - END_BYTES
    if body[:2] != END[:2] or body[end : end + 4] != END or body[end - ZIP64_BYTES : end].startswith(ZIP64):
        raise InvalidInput("the body is not a npz file", hint="use np.savez")
    if int.from_bytes(body[end + 12 : end + 16], "little") > DIRECTORY_BYTES_MAX:
        raise InvalidInput("the npz file has too many members, expected one array per feature")

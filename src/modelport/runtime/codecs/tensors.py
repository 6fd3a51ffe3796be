"""Tensors of the Open Inference Protocol V2: their types, and one column of the matrix out of them.

Source: Open Inference Protocol V2, "Tensor Data Types"; the binary tensor data extension (BYTES: each element
has its length as four bytes, little-endian, in front).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import FeatureType, Output, Signature, Value
from modelport.runtime.cells import INT64_MAX, INT64_MIN, Cell, Kind, Unfit, cells_of
from modelport.runtime.codecs.arrays import numbers, refuse_inexact, texts_to_numbers
from modelport.runtime.codecs.large_json import LARGE_BYTES, SIMDJSON
from modelport.runtime.rows import FLOAT64
from modelport.runtime.wording import found, located

Datatype = Literal[
    "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
    "FP16", "FP32", "FP64", "BYTES",
]  # fmt: skip
BYTES = "BYTES"
INPUT = "input"
PREDICTIONS = "predictions"
PROBABILITIES = "probabilities"
WIDENED = {"FP16", "FP32"}
LENGTH_BYTES = 4
UTF_8_HINT = "encode texts as UTF-8"
NO_NAN = "JSON has no NaN and no infinity: write null for a missing value, or send the tensor as binary data"

_FORMS = {"BOOL": "?", "INT": "<i", "UINT": "<u", "FP": "<f"}


def _dtype(name: str) -> np.dtype[Any]:
    letters = name.rstrip("0123456789")
    bits = name[len(letters) :]
    return np.dtype(_FORMS[letters] + (str(int(bits) // 8) if bits else ""))


DTYPES: dict[str, np.dtype[Any]] = {name: _dtype(name) for name in get_args(Datatype) if name != BYTES}
LIMITS = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for name, dtype in DTYPES.items()
    if dtype.kind in "iu"
}


def _parser(kind: Any) -> Callable[[Any], list[Any]]:
    return msgspec.json.Decoder(kind).decode


_PARSERS: dict[str, Callable[[Any], list[Any]]] = {
    "b": _parser(list[bool]),
    "i": _parser(list[int]),
    "u": _parser(list[int]),
    "f": _parser(list[float]),
}
_WIDEST = {
    "b": (np.dtype("?"), "?"),
    "i": (np.dtype("<i8"), "q"),
    "u": (np.dtype("<u8"), "Q"),
    "f": (FLOAT64, "d"),
}
_parse_texts = _parser(list[str])
_parse_anything = msgspec.json.Decoder().decode


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One input tensor, found but not read.

    Args:
        name: As sent.
        datatype: One of `Datatype`.
        shape: As sent; its product is `count`.
        count: Elements.
        data: Its `data` in the JSON: raw bytes, or the plain value; None for binary data.
        start: Where its binary data begins in the body.
        size: Bytes of its binary data.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    count: int
    data: Any = None
    start: int = 0
    size: int = 0

    def array(self, body: bytes) -> NDArray[Any] | list[str] | None:
        """Return the elements `[count]` where they are all of the tensor's type.

        Returns:
            Numbers of the tensor's type, texts for BYTES, None where only `elements` can tell.

        Raises:
            InvalidInput: Binary data does not fit its type.
        """
        if self.data is None:
            return self.binary(body)
        try:
            return self._json()
        except (msgspec.DecodeError, UnicodeDecodeError, struct.error):
            return None

    def elements(self) -> list[Any]:
        """Return the elements in JSON as they stand there, nested lists laid flat.

        Raises:
            InvalidInput: They have another shape.
        """
        value = self._parsed(self.data) if isinstance(self.data, msgspec.Raw) else self.data
        if not isinstance(value, list):
            raise located(None, self.name, f"found {found(value)} as data, expected a list")
        if value and isinstance(value[0], list):
            value = self._flat(value)
        if len(value) != self.count:
            raise located(
                None,
                self.name,
                f"found {len(value)} elements, expected {self.count} as shape {list(self.shape)} says",
            )
        return value

    def _parsed(self, data: msgspec.Raw) -> Any:
        try:
            return _parse_anything(data)
        except UnicodeDecodeError:
            raise located(None, self.name, "found bytes that are not UTF-8", hint=UTF_8_HINT) from None
        except msgspec.DecodeError:
            return json.loads(bytes(data))  # it is JSON, with a number beyond float64: that becomes infinite

    def _flat(self, value: list[Any]) -> list[Any]:
        flat: list[Any] = [value]
        for depth, length in enumerate(self.shape):
            deeper: list[Any] = []
            for row, part in enumerate(flat):
                if not isinstance(part, list) or len(part) != length:
                    size = f"{len(part)} values" if isinstance(part, list) else found(part)
                    raise located(
                        row if depth == 1 else None,
                        self.name,
                        f"found {size}, expected nested lists of shape {list(self.shape)}",
                    )
                deeper += part
            flat = deeper
        return flat

    def _json(self) -> NDArray[Any] | list[str] | None:
        if not isinstance(self.data, msgspec.Raw):
            return None
        if self.datatype == BYTES:
            texts = _parse_texts(self.data)
            return texts if len(texts) == self.count else None
        dtype = DTYPES[self.datatype]
        wide = self._wide(self.data, dtype.kind)
        if wide is None or wide.dtype.itemsize == dtype.itemsize:
            return wide
        with np.errstate(over="ignore"):
            narrow = wide.astype(dtype)
        if dtype.kind == "f":
            return None if np.isinf(narrow).any() else narrow
        return narrow if (narrow == wide).all() else None

    def _wide(self, data: msgspec.Raw, kind: str) -> NDArray[Any] | None:
        """Return the elements as the widest type of a kind."""
        wide, code = _WIDEST[kind]
        text = memoryview(data)
        if kind == "f" and len(text) >= LARGE_BYTES:
            read = SIMDJSON.numbers(bytes(text), self.count)
            if read is not None:
                return np.frombuffer(read, wide)
        values = _PARSERS[kind](data)
        if len(values) != self.count:
            return None
        return np.frombuffer(struct.pack(f"<{len(values)}{code}", *values), wide)

    def binary(self, body: bytes) -> NDArray[Any] | list[str]:
        """Return the elements `[count]` of a tensor with binary data.

        Raises:
            InvalidInput: The data does not fit its type.
        """
        if self.datatype == BYTES:
            return self._binary_texts(body)
        if self.datatype == "BOOL":
            octets = np.frombuffer(body, np.uint8, self.count, self.start)
            if octets.max(initial=0) > 1:
                at = int(np.argmax(octets > 1))
                raise located(at, self.name, f"found the byte {octets[at]}, expected 0 or 1, as BOOL is")
            return octets.view(np.bool_)
        array = np.frombuffer(body, DTYPES[self.datatype], self.count, self.start)
        return array if array.flags.aligned else array.copy()  # the JSON before it may end anywhere

    def _binary_texts(self, body: bytes) -> list[str]:
        at, end = self.start, self.start + self.size
        texts: list[str] = []
        for number in range(self.count):
            begin = at + LENGTH_BYTES
            length = int.from_bytes(body[at:begin], "little")
            at = begin + length
            if at > end:
                raise located(
                    number,
                    self.name,
                    f"found {length} bytes of text announced, which go beyond the tensor's {self.size}",
                    hint="each element is its length as 4 bytes, little-endian, and then its bytes",
                )
            try:
                texts.append(body[begin:at].decode())
            except UnicodeDecodeError:
                raise located(
                    number, self.name, "found bytes that are not UTF-8, expected text", hint=UTF_8_HINT
                ) from None
        if at != end:
            raise located(None, self.name, f"found {end - at} bytes left after {self.count} elements")
        return texts


def column(cell: Cell, datatype: str, values: NDArray[Any] | Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers of a column `[n]` of a tensor's elements.

    BYTES are read as CSV cells are: the empty text is a missing value, unless it is a category.

    Raises:
        InvalidInput: One does not fit; names the row.
    """
    if not isinstance(values, np.ndarray):
        return texts_to_numbers(cell, values)
    if datatype == "BOOL" and cell.kind not in {Kind.BOOLEAN, Kind.MIXED}:
        raise located(0, cell.name, f"found {found(bool(values[0]))}, expected {cell.expected()}")
    refuse_inexact(cell, values)
    return numbers(cell, values)


def numbers_of_elements(cell: Cell, datatype: str, values: Sequence[Any]) -> list[float]:
    """Return the numbers of a column of JSON values, `null` being a missing one.

    Raises:
        InvalidInput: One does not fit; names the row.
    """
    read: list[float] = []
    for row, value in enumerate(values):
        try:
            read.append(_element(cell, datatype, value))
        except Unfit as misfit:
            special = isinstance(value, float) and not math.isfinite(value)
            raise located(row, cell.name, str(misfit), hint=NO_NAN if special else None) from None
    return read


def numbers_of_few(cell: Cell, datatype: str, values: NDArray[Any] | Sequence[str]) -> list[float]:
    """Return what `column` does, one value at a time: for a few rows that is faster.

    Raises:
        InvalidInput: One does not fit; names the row.
    """
    few: Sequence[Any]
    rule: Callable[[Any], float]
    if not isinstance(values, np.ndarray):
        rule, few = cell.from_text, values
    else:
        rule = cell.from_json if datatype == "BOOL" else cell.from_number
        few = values.tolist()
        if values.dtype.kind != "f":
            refuse_inexact(cell, values)
    read: list[float] = []
    for row, value in enumerate(few):
        try:
            read.append(rule(value))
        except Unfit as misfit:
            raise located(row, cell.name, str(misfit)) from None
    return read


def _element(cell: Cell, datatype: str, value: Any) -> float:
    if value is None:
        return cell.from_json(None)
    if datatype == BYTES:
        if not isinstance(value, str):
            raise Unfit(f"found {found(value)}, expected a string, as BYTES are")
        return cell.from_text(value)
    if datatype == "BOOL":
        if not isinstance(value, bool):
            raise Unfit(f"found {found(value)}, expected true or false, as BOOL is")
        return cell.from_json(value)
    if datatype.startswith("FP"):
        return cell.from_number(_narrowed(datatype, value))
    lower, upper = LIMITS[datatype]
    if type(value) is not int or not lower <= value <= upper:
        raise Unfit(f"found {found(value)}, expected an integer from {lower} to {upper}, as {datatype} is")
    if cell.kind is Kind.NUMBER and cell.codes is None and int(float(value)) != value:
        raise Unfit(f"found the integer {value}, which no float64 holds exactly, expected {cell.expected()}")
    return cell.from_number(value)


def _narrowed(datatype: str, value: Any) -> float:
    """Return the number that a tensor of this type holds where JSON writes `value`."""
    number = math.inf
    if type(value) is float or type(value) is int:
        with suppress(OverflowError):  # an integer of more than 308 digits
            number = float(value)
        if datatype != "FP64":
            with np.errstate(over="ignore"):
                number = float(DTYPES[datatype].type(number))
    if not math.isfinite(number):
        raise Unfit(f"found {found(value)}, expected a number, as {datatype} is")
    return number


# ---- what a model takes and gives, as tensors


class TensorMetadata(msgspec.Struct, frozen=True):
    """Name, type and shape of a tensor; -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: list[int]


def input_tensors(signature: Signature) -> list[TensorMetadata]:
    """Return what a model takes, as its metadata says it."""
    if signature.matrix:
        return [TensorMetadata(INPUT, "FP64", [-1, *(signature.row_shape or (len(signature.features),))])]
    return [TensorMetadata(cell.name, _datatype_of(cell), [-1]) for cell in cells_of(signature)]


def output_tensors(output: Output) -> list[TensorMetadata]:
    """Return what a model gives, as its metadata says it."""
    if not output.labels:
        targets = [len(output.targets)] if len(output.targets) != 1 else []
        return [TensorMetadata(PREDICTIONS, "FP64", [-1, *targets])]
    tensors = [TensorMetadata(PREDICTIONS, label_datatype(output.labels), [-1])]
    if output.probabilities:
        tensors.append(TensorMetadata(PROBABILITIES, "FP64", [-1, len(output.labels)]))
    return tensors


def label_datatype(labels: tuple[Value, ...]) -> str:
    """Return the datatype of labels: their own type, BYTES where they are mixed."""
    kinds = {type(label) for label in labels}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int} and all(INT64_MIN <= label <= INT64_MAX for label in labels):  # type: ignore[operator]
        return "INT64"
    return "FP64" if float in kinds and kinds <= {int, float} else BYTES


def _datatype_of(cell: Cell) -> str:
    if cell.kind is Kind.BOOLEAN:
        return "BOOL"
    if cell.feature.type is FeatureType.INT64 and cell.kind is Kind.INTEGER:
        return "INT64"
    return "FP64" if cell.kind in {Kind.NUMBER, Kind.INTEGER} else BYTES

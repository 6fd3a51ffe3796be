"""Arrow columns of a batch job: record batches to the serving matrix, outputs to Arrow arrays.

No pandas: `to_numpy`, `pa.scalar` and `pa.array` import it lazily and cost a second, so numbers are
read with `np.frombuffer` on Arrow's buffers and written with `Array.from_buffers`. `pyarrow.compute` costs
40 ms; the methods that need it (`cast`, `take`, `dictionary_encode`) import it when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Signature, Task, Value
from modelport.runtime.cells import Cell, Kind, Unfit, cells_of
from modelport.runtime.outputs import Outputs
from modelport.runtime.wording import located, nearest

PREDICTION = "prediction"
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record batch as the model takes it.

    Args:
        matrix: float64 `[N, features]`, C-contiguous, all rows of the batch; the numbers of failed
            rows mean nothing.
        failures: `(row of the batch, feature, reason)` of each row the model refuses, by row, at most
            one per row.
    """

    matrix: NDArray[np.float64]
    failures: list[tuple[int, str, str]]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column's numbers; `refused` rows have a reason each, worded when asked for."""

    numbers: NDArray[Any]
    refused: NDArray[np.bool_] | None
    reason: Callable[[int], str]


class ColumnEncoder:
    """Turns record batches into matrices by a signature; any number of threads may share one.

    Args:
        signature: What the model takes.
        names: Column names of the input.

    Raises:
        InvalidInput: A used feature has no column; the hint names the nearest. Columns that are no
            feature are left alone.
    """

    def __init__(self, signature: Signature, names: Sequence[str]) -> None:
        self._cells = cells_of(signature)
        places: dict[str, int] = {}
        for at, name in enumerate(names):
            if name in places and any(cell.name == name for cell in self._cells):
                raise located(None, name, "stands twice among the input's columns, expected once")
            places[name] = at
        for cell in self._cells:
            if cell.used and cell.name not in places:
                near = nearest(cell.name, names)
                hint = f"is it the column {near}?" if near else "rename a column or add it"
                raise located(
                    None,
                    cell.name,
                    f"not found among the input's columns, expected {cell.expected()}",
                    hint=hint,
                )
        self._places = [places.get(cell.name) for cell in self._cells]

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the batch as a matrix.

        Args:
            batch: Any number of rows. Numbers of any width, booleans, decimals, strings (plain or
                dictionary-encoded, large or not); text in a numeric column is read as CSV cells are.

        Raises:
            InvalidInput: A column's type can never hold the feature's values.
        """
        count = batch.num_rows
        matrix = np.empty((count, len(self._cells)))
        failures: dict[int, tuple[str, str]] = {}
        for j, (cell, at) in enumerate(zip(self._cells, self._places, strict=True)):
            if at is None:
                matrix[:, j] = 0.0
                continue
            column = _read(cell, batch.column(at))
            matrix[:, j] = column.numbers
            if column.refused is not None:
                for row in np.flatnonzero(column.refused).tolist():
                    if row not in failures:
                        failures[row] = (cell.name, column.reason(row))
        return Encoded(matrix, [(row, *failures[row]) for row in sorted(failures)])


def _read(cell: Cell, array: pa.Array) -> _Column:
    """Return one column's numbers."""
    kind = array.type
    if pa.types.is_null(kind):
        return _all_missing(cell, len(array))
    if pa.types.is_temporal(kind):
        if cell.kind is Kind.MOMENT:
            return _Column(np.zeros(len(array)), None, _no_reason)
        raise _never(cell, kind)
    if _is_text(kind):
        return _read_text(cell, array)
    if pa.types.is_dictionary(kind):
        return _read_dictionary(cell, array)
    if pa.types.is_decimal(kind):
        array = array.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise _never(cell, kind)
    if cell.kind is Kind.TEXT or (cell.kind is Kind.NUMBER and pa.types.is_boolean(kind)):
        raise _never(cell, kind)
    return _read_numbers(cell, array)


def _read_numbers(cell: Cell, array: pa.Array) -> _Column:
    values = _values(array)
    missing = _nulls(array)
    if missing is not None:
        if not missing.any():
            missing = None
        elif values.dtype.kind == "f":
            values = np.where(missing, np.nan, values)
        else:
            values = np.where(missing, values.dtype.type(0), values)  # a null's own slot holds anything
    numbers, refused = cell.from_array(values)
    if missing is not None:
        numbers = np.where(missing, _missing_number(cell), numbers)
        if not cell.used or cell.feature.missing:
            refused = None if refused is None else refused & ~missing
        else:
            refused = missing if refused is None else refused | missing

    def reason(row: int) -> str:
        absent = missing is not None and missing[row]
        return _reason(cell.from_json, None) if absent else _reason(cell.from_number, values[row].item())

    return _Column(numbers, refused, reason)


def _read_text(cell: Cell, array: pa.Array) -> _Column:
    return _read_dictionary(cell, array.dictionary_encode())


def _read_dictionary(cell: Cell, array: pa.DictionaryArray) -> _Column:
    """Look each distinct value up once, then spread the numbers by index."""
    distinct = array.dictionary.to_pylist()
    rule: Callable[[Any], float] = cell.from_json
    if _is_text(array.type.value_type):
        if cell.kind not in {Kind.TEXT, Kind.MOMENT}:
            rule = cell.from_text
    elif cell.kind is Kind.TEXT or not all(
        value is None or isinstance(value, int | float | bool) for value in distinct
    ):
        raise _never(cell, array.type.value_type)
    else:
        rule = cell.from_number
    numbers, bad = cell.look_up([*distinct, 0.0], lambda value: _null_or(rule, cell, value))
    indices = _values(array.indices)
    missing = _nulls(array.indices)
    if missing is not None:
        indices = np.where(missing, 0, indices)
    taken = numbers[indices]
    refused: NDArray[np.bool_] | None = bad[indices] if bad.any() else None
    if missing is not None:
        taken = np.where(missing, _missing_number(cell), taken)
        if refused is not None:
            refused &= ~missing
        if cell.used and not cell.feature.missing:
            refused = missing if refused is None else refused | missing

    def reason(row: int) -> str:
        absent = missing is not None and missing[row]
        value = None if absent else distinct[int(indices[row])]
        return _reason(lambda each: _null_or(rule, cell, each), value)

    return _Column(taken, refused, reason)


def _null_or(rule: Callable[[Any], float], cell: Cell, value: Any) -> float:
    return cell.from_json(None) if value is None else rule(value)


def _all_missing(cell: Cell, count: int) -> _Column:
    refused = np.ones(count, np.bool_) if cell.used and not cell.feature.missing else None
    return _Column(np.full(count, _missing_number(cell)), refused, lambda _row: _reason(cell.from_json, None))


def _missing_number(cell: Cell) -> float:
    try:
        return cell.from_json(None)
    except Unfit:
        return 0.0


def _reason(rule: Callable[[Any], float], value: Any) -> str:
    try:
        rule(value)
    except Unfit as misfit:
        return str(misfit)
    return "refused"


def _no_reason(_row: int) -> str:
    return "refused"


def _never(cell: Cell, kind: pa.DataType) -> InvalidInput:
    hint = None
    if cell.kind is Kind.TEXT and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        hint = "read the column as text, so that 001 stays 001"
    return located(None, cell.name, f"found a column of {kind}, expected {cell.expected()}", hint=hint)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view())


def _values(array: pa.Array) -> NDArray[Any]:
    """Return an array's values, also those under nulls, without a copy where they lie in bytes."""
    kind, offset, count = array.type, array.offset, len(array)
    data = array.buffers()[1]
    if count == 0 or data is None:
        return np.zeros(count, np.bool_ if pa.types.is_boolean(kind) else kind.to_pandas_dtype())
    if pa.types.is_boolean(kind):
        return _bits(data, offset, count)
    dtype = np.dtype(kind.to_pandas_dtype())
    return np.frombuffer(data, dtype, count, offset * dtype.itemsize)


def _nulls(array: pa.Array) -> NDArray[np.bool_] | None:
    """Return which values are null, None where none is."""
    if array.null_count == 0:
        return None
    bitmap = array.buffers()[0]
    if bitmap is None:
        return None
    return ~_bits(bitmap, array.offset, len(array))


def _bits(data: pa.Buffer, offset: int, count: int) -> NDArray[np.bool_]:
    first = offset // 8
    last = (offset + count + 7) // 8
    octets = np.frombuffer(data, np.uint8, last - first, first)
    bits = np.unpackbits(octets, bitorder="little")[offset % 8 : offset % 8 + count]
    return bits.view(np.bool_)


def column_types(signature: Signature) -> dict[str, pa.DataType]:
    """Return the Arrow type to read each feature's column as, from CSV or JSON Lines.

    Strings come dictionary-encoded, so that `001` stays `001` and a lookup is paid once per value. When
    reading CSV set `strings_can_be_null`, so that an empty cell is a missing value there too.
    """
    return {cell.name: _type_of(cell) for cell in cells_of(signature)}


def _type_of(cell: Cell) -> pa.DataType:
    if cell.kind is Kind.NUMBER:
        return pa.float64()
    if cell.kind is Kind.INTEGER:
        return pa.int64()
    return pa.bool_() if cell.kind is Kind.BOOLEAN else DICTIONARY


def output_schema(signature: Signature) -> pa.Schema:
    """Return the columns of the answers.

    `prediction` (label words, or float64); `probability_<label>` float64 for each class of a
    classifier that gives probabilities; `prediction_<target>` for several targets.
    """
    output = signature.output
    if output.task is Task.REGRESSION:
        single = len(output.targets) == 1
        names = [PREDICTION] if single else [f"{PREDICTION}_{target}" for target in output.targets]
        return pa.schema([(name, pa.float64()) for name in names])
    fields = [(PREDICTION, _label_type(output.labels))]
    if output.probabilities:
        fields += [(f"probability_{_word(label)}", pa.float64()) for label in output.labels]
    return pa.schema(fields)


def to_arrays(signature: Signature, outputs: Outputs) -> list[pa.Array]:
    """Return the answers as Arrow arrays, in the order of `output_schema`."""
    if outputs.label is None:
        return _float_arrays(outputs.predictions)
    arrays = [_labels(signature.output.labels, outputs.label)]
    if signature.output.probabilities:
        arrays += _float_arrays(outputs.probabilities)
    return arrays


def _labels(labels: tuple[Value, ...], codes: NDArray[np.int64]) -> pa.Array:
    kind = _label_type(labels)
    if kind == pa.string():
        words = [_word(label).encode() for label in labels]
        ends = np.cumsum([0, *map(len, words)], dtype=np.int32)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(words))]
        return pa.Array.from_buffers(kind, len(words), buffers).take(_from_numpy(codes, pa.int64()))
    if kind == pa.bool_():
        bits = np.packbits(np.array(labels, np.bool_)[codes], bitorder="little")
        return pa.Array.from_buffers(kind, len(codes), [None, pa.py_buffer(bits)])
    return _from_numpy(np.array(labels, np.int64 if kind == pa.int64() else np.float64)[codes], kind)


def _float_arrays(table: NDArray[np.float64] | None) -> list[pa.Array]:
    if table is None:
        return []
    return [_from_numpy(np.ascontiguousarray(table[:, j]), pa.float64()) for j in range(table.shape[1])]


def _from_numpy(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _label_type(labels: tuple[Value, ...]) -> pa.DataType:
    kinds = {type(label) for label in labels}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def _word(value: Value) -> str:
    return str(value)

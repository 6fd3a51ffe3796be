"""Probe rows with the original's answers as an Arrow file: `proof.arrow` of a model's bundle.

row            struct: one field per feature, in the words of the training data
origin         where the row comes from, see `probes.Origin`
refused        the original refuses this row; the columns below then mean nothing
label          int64, index into the signature's labels (classification)
probabilities  list of float64 (classification, where the model gives them)
predictions    list of float64 (regression)
allowed        float64, largest difference allowed in this row
margin         float64, how sure the original is of its label where it gives no probabilities
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Signature
from modelport.evaluation.probes import Column, Columns, holds_words

Floats = NDArray[np.float64]
AS_JSON = {b"modelport": b"json"}  # a column of words and numbers: each value as JSON text


@dataclass(frozen=True, slots=True)
class ProofRows:
    """Rows, and what the original said to them. Its answers fit `parity.Answers`.

    Args:
        columns: Feature name to values, as `probes` holds them, `[N]` each.
        origin: Where each row comes from, `[N]`.
        refused: Rows the original refuses, bool `[N]`.
        allowed: Largest difference allowed in each row, float64 `[N]`.
        label: int64 `[N]`, or None.
        probabilities: float64 `[N, K]`, or None.
        predictions: float64 `[N, T]`, or None.
        margin: float64 `[N]`, or None.
    """

    columns: Columns
    origin: NDArray[np.str_]
    refused: NDArray[np.bool_]
    allowed: Floats
    label: NDArray[np.int64] | None = None
    probabilities: Floats | None = None
    predictions: Floats | None = None
    margin: Floats | None = None

    def __len__(self) -> int:
        return len(self.origin)

    def take(self, rows: NDArray[Any]) -> ProofRows:
        """Return some of the rows: indices in the order asked, or a mask."""
        return ProofRows(
            columns={name: column[rows] for name, column in self.columns.items()},
            origin=self.origin[rows],
            refused=self.refused[rows],
            allowed=self.allowed[rows],
            label=None if self.label is None else self.label[rows],
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            predictions=None if self.predictions is None else self.predictions[rows],
            margin=None if self.margin is None else self.margin[rows],
        )


def encode_rows(signature: Signature, rows: ProofRows) -> bytes:
    """Return the rows as an Arrow IPC file.

    Args:
        signature: The model's; its features are the struct's fields, except those that were not asked.
        rows: What to write.
    """
    asked = [feature.name for feature in signature.features if feature.name in rows.columns]
    named = [_write(name, rows.columns[name]) for name in asked]
    arrays: dict[str, pa.Array] = {
        "row": pa.StructArray.from_arrays(
            [array for _, array in named], fields=[field for field, _ in named]
        ),
        "origin": pa.array(rows.origin.tolist(), pa.string()),
        "refused": pa.array(rows.refused.tolist(), pa.bool_()),
        "allowed": _flat(rows.allowed),
    }
    if rows.label is not None:
        arrays["label"] = _flat(rows.label)
    if rows.margin is not None:
        arrays["margin"] = _flat(rows.margin)
    for name, table in (("probabilities", rows.probabilities), ("predictions", rows.predictions)):
        if table is not None:
            arrays[name] = pa.FixedSizeListArray.from_arrays(_flat(table.reshape(-1)), table.shape[1])
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode_rows(signature: Signature, content: bytes) -> ProofRows:
    """Read the rows.

    Args:
        signature: The model's.
        content: What `encode_rows` gave.

    Raises:
        InvalidInput: The bytes are no such file, or of another signature.
    """
    try:
        table = pa.ipc.open_file(content).read_all().combine_chunks()
        struct = table.column("row")
        struct = struct.chunk(0) if struct.num_chunks else pa.array([], struct.type)
        found = {name: table.column(name).combine_chunks() for name in table.column_names if name != "row"}
        lists = {name: _table(found[name]) for name in ("probabilities", "predictions") if name in found}
        return ProofRows(
            columns={
                feature.name: _read(
                    struct.field(feature.name),
                    struct.type.field(feature.name),
                    words=holds_words(feature),
                )
                for feature in signature.features
                if struct.type.get_field_index(feature.name) >= 0
            },
            origin=np.array(found["origin"].to_pylist(), dtype="<U9"),
            refused=np.array(found["refused"].to_pylist(), dtype=np.bool_),
            allowed=_numbers(found["allowed"], np.float64),
            label=_numbers(found["label"], np.int64) if "label" in found else None,
            margin=_numbers(found["margin"], np.float64) if "margin" in found else None,
            **lists,
        )
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"not the rows of a proof: {error}", hint="register the model again") from error


def _write(name: str, column: Column) -> tuple[pa.Field, pa.Array]:
    if column.dtype != object:
        return pa.field(name, pa.float64()), _flat(column.astype(np.float64))
    values = [value.item() if isinstance(value, np.generic) else value for value in column.tolist()]
    kinds = {type(value) for value in values if value is not None}
    for kind, type_ in ((str, pa.string()), (int, pa.int64()), (float, pa.float64()), (bool, pa.bool_())):
        if kinds <= {kind}:
            return pa.field(name, type_), pa.array(values, type_)
    text = [None if value is None else json.dumps(value) for value in values]
    return pa.field(name, pa.string(), metadata=AS_JSON), pa.array(text, pa.string())


def _read(array: pa.Array, field: pa.Field, *, words: bool) -> Column:
    if not words:
        return _numbers(array, np.float64)
    column = np.empty(len(array), dtype=object)
    column[:] = array.to_pylist()
    if (field.metadata or {}).get(b"modelport") == b"json":
        column[:] = [None if text is None else json.loads(text) for text in column]
    return column


def _flat(values: NDArray[Any]) -> pa.Array:
    kind = pa.int64() if values.dtype.kind == "i" else pa.float64()
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _numbers(array: pa.Array, dtype: Any) -> NDArray[Any]:
    if len(array) == 0:
        return np.empty(0, dtype=dtype)
    size = np.dtype(dtype).itemsize
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * size).copy()


def _table(array: pa.FixedSizeListArray) -> Floats:
    return _numbers(array.flatten(), np.float64).reshape(len(array), array.type.list_size)

"""`application/vnd.apache.arrow.stream`: record batches of the features' columns, and of the answers.

Text may be dictionary-encoded. Arrow is imported with the first such request, in a thread: it costs a tenth
of a second and memory that other requests have no use for.

A stream is checked before it is used: buffers are compared with the lengths that the batches announce, and
types and compressions that can announce far more rows than they have bytes are refused.

Source: Apache Arrow, "IPC Streaming Format"; Message.fbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modelport.domain.errors import InvalidInput, PayloadTooLarge
from modelport.domain.signature import Signature
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.codecs.values import VALUES_MAX, GeneralReader, Lengthy
from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import Rows
from modelport.runtime.wording import located

if TYPE_CHECKING:
    import pyarrow as pa

    from modelport.runtime.columns import ColumnEncoder

MESSAGES_MAX = 10_000
DICTIONARY_BATCH = 2
VIEW_WORDS = 4  # a view is its length and three words more, of four bytes each
TEXT_BYTES_MAX = 256 << 20


class ArrowDecoder:
    """Reads Arrow streams.

    Args:
        schema: The model's generated fast path.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._reader = GeneralReader(schema.cells)

    def __call__(self, body: bytes) -> Rows:
        """Return the rows of all batches.

        Raises:
            PayloadTooLarge: It has more than ten million values.
            InvalidInput: The body is no Arrow stream, or a column does not fit the model.
        """
        import pyarrow as pa

        from modelport.runtime.columns import ColumnEncoder

        try:
            _check_messages(pa, body)
            with pa.ipc.open_stream(pa.BufferReader(body)) as stream:
                names = stream.schema.names
                self._reader.order_of(names, what="the stream's columns")
                for field in stream.schema:
                    _check_type(pa, field)
                return self._read(stream, ColumnEncoder(self._schema.signature, names))
        except pa.ArrowException as error:
            raise _no_stream(error) from None
        except (OSError, ValueError, IndexError, MemoryError) as error:
            raise _no_stream(error) from None

    def in_passing(self, _body: bytes) -> Rows:
        """Refuse: however small, a stream may hold many rows, and the library has to be imported."""
        raise Lengthy

    def _read(self, stream: pa.RecordBatchStreamReader, encoder: ColumnEncoder) -> Rows:
        parts: list[Any] = []
        count = 0
        for batch in stream:
            if (count + batch.num_rows) * self._schema.width > VALUES_MAX:
                raise PayloadTooLarge(
                    f"found {count + batch.num_rows} rows or more of {self._schema.width} features, "
                    f"expected at most {VALUES_MAX} values in one request",
                    hint="send them in several requests, or as a batch job",
                )
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                _check_column(name, column)
            encoded = encoder.encode(batch)
            if encoded.failures:
                row, feature, reason = encoded.failures[0]
                raise located(count + row, feature, reason)
            parts.append(encoded.matrix)
            count += batch.num_rows
        if not count:
            raise InvalidInput("found no rows, expected at least one")
        matrix = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return Rows(matrix.data.cast("B"), count)


def _check_type(pa: Any, field: pa.Field) -> None:
    """Refuse columns of types that no feature has; some of them announce more than they hold."""
    kind, types = field.type, pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
        fits = False
    else:
        fits = types.is_null(kind) or types.is_temporal(kind) or types.is_decimal(kind)
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if not (fits or text or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise located(None, field.name, f"found a column of {field.type}, expected numbers, booleans or text")


def _check_messages(pa: Any, body: bytes) -> None:
    """Refuse compressed buffers, which may unpack to any size, and streams of very many messages."""
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(body))
    for number, message in enumerate(reader):
        if number == MESSAGES_MAX:
            raise InvalidInput(f"found more than {MESSAGES_MAX} messages, expected fewer and larger batches")
        if message.type != "schema" and _is_compressed(message.metadata.to_pybytes()):
            raise InvalidInput(
                "found compressed buffers, expected none",
                hint="write the stream without compression, and send it with Content-Encoding: zstd",
            )


def _is_compressed(message: bytes) -> bool:
    """Tell whether a message, whose form Arrow has verified, holds a batch of compressed buffers.

    It is a FlatBuffers table: `Message.header` (field 2) is a `RecordBatch`, whose field 3 is `compression`,
    or by `Message.header_type` (field 1) a `DictionaryBatch`, whose field 1 is a `RecordBatch`.
    """
    table = int.from_bytes(message[:4], "little")
    kind = _field(message, table, 1)
    batch = _table(message, table, 2)
    if batch and kind and message[kind] == DICTIONARY_BATCH:
        batch = _table(message, batch, 1)
    return bool(batch and _field(message, batch, 3))


def _field(message: bytes, table: int, number: int) -> int:
    """Return where a table's field lies, 0 where it is absent."""
    entries = table - int.from_bytes(message[table : table + 4], "little", signed=True)
    place = 4 + 2 * number
    if place >= int.from_bytes(message[entries : entries + 2], "little"):
        return 0
    offset = int.from_bytes(message[entries + place : entries + place + 2], "little")
    return table + offset if offset else 0


def _table(message: bytes, table: int, number: int) -> int:
    """Return where the table lies that a field refers to, 0 where it is absent."""
    place = _field(message, table, number)
    return place + int.from_bytes(message[place : place + 4], "little") if place else 0


def _check_column(name: str, column: pa.Array) -> None:
    """Refuse buffers that do not fit their lengths, texts that are not UTF-8, codes beyond their dictionary.

    Views may share their bytes so often that reading each would take very long: these are refused too.
    """
    import pyarrow as pa

    try:
        column.validate(full=True)
    except pa.ArrowException as error:
        raise located(None, name, f"found a broken column of {column.type}: {_first_line(error)}") from None
    array = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not pa.types.is_string_view(array.type):
        return
    views = array.buffers()[1]
    lengths = np.frombuffer(views, "<i4", VIEW_WORDS * len(array), VIEW_WORDS * 4 * array.offset)[
        ::VIEW_WORDS
    ]
    total = int(lengths.sum(dtype=np.int64))
    if total > TEXT_BYTES_MAX:
        raise located(None, name, f"found {total} bytes of text, expected at most {TEXT_BYTES_MAX}")


def _no_stream(error: Exception) -> InvalidInput:
    return InvalidInput(
        f"the body is not an Arrow stream: {_first_line(error)}", hint="use pyarrow.ipc.new_stream"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class ArrowEncoder:
    """Writes Arrow streams of one batch: `prediction`, then `probability_<label>`, or one column per target.

    Args:
        signature: What the model takes and gives.
    """

    content_type = "application/vnd.apache.arrow.stream"
    off_loop = True

    def __init__(self, signature: Signature) -> None:
        self._signature = signature

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Return the stream of rows `start` to `stop` (exclusive)."""
        import pyarrow as pa

        from modelport.runtime.columns import output_schema, to_arrays

        schema = output_schema(self._signature)
        arrays = to_arrays(self._signature, outputs.rows(start, stop))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        stream: bytes = sink.getvalue().to_pybytes()
        return stream

"""Answers in their output form: a shard's rows as bytes, and shards put together as one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, Protocol

import msgspec
import pyarrow as pa

from modelport.domain.errors import InvalidInput
from modelport.jobs.places import Format

ROW_GROUP_ROWS = 1 << 17
ROW_GROUP_BYTES = 16 << 20


def encode_shard(
    batches: Sequence[pa.RecordBatch], output_format: Format, lines: Sequence[bytes] | None = None
) -> bytes | memoryview:
    """Return a shard's rows.

    Parquet shards wait as Arrow streams: cheap to write, cheap to read again, and the final file gets
    row groups of a useful size.

    Args:
        batches: Rows to write.
        output_format: Of the final file.
        lines: JSON Lines only: each row's input object, which the answers are appended to.
    """
    if output_format == "parquet":
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batches[0].schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return memoryview(sink.getvalue())
    if output_format == "csv":
        return _encode_csv(batches)
    answers = [line for batch in batches for line in _encode_lines(batch)]
    if lines is None:
        return b"".join(answers)
    return b"".join(_splice(line, answer) for line, answer in zip(lines, answers, strict=True))


def writable(schema: pa.Schema, output_format: Format) -> None:
    """Check that a file of this format can hold these columns.

    Raises:
        InvalidInput: CSV cannot hold lists or structs, or two columns have one name; names the column.
    """
    for field in schema:
        if output_format == "csv" and pa.types.is_nested(field.type):
            raise InvalidInput(
                f"column {field.name!r} holds {field.type}, which CSV cannot",
                hint="say --output-format parquet or jsonl, or leave out --join",
            )
    refuse_doubles(schema.names)


def refuse_doubles(names: Sequence[str]) -> None:
    """Check that no two columns of the output have one name.

    Raises:
        InvalidInput: Two have; names them.
    """
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidInput(
            f"the joined output would have two columns {doubled[0]!r}",
            hint="rename the input's column, or leave out --join",
        )


class Assembly(Protocol):
    """One output file in the making."""

    def add(self, content: bytes) -> None:
        """Append a shard."""
        ...

    def finish(self) -> None:
        """Complete the file."""
        ...

    def close(self) -> None:
        """Let go of the stream; after `finish` or instead of it."""
        ...


def assemble(stream: IO[bytes], schema: pa.Schema, output_format: Format) -> Assembly:
    """Return what puts shards together into a stream.

    Args:
        stream: Where to write.
        schema: The output's columns.
        output_format: Its format.
    """
    if output_format == "parquet":
        return _ParquetAssembly(stream, schema)
    if output_format == "csv":
        return _TextAssembly(stream, _csv_header(schema))
    return _TextAssembly(stream, b"")


class _TextAssembly:
    def __init__(self, stream: IO[bytes], head: bytes) -> None:
        self._stream = stream
        stream.write(head)

    def add(self, content: bytes) -> None:
        self._stream.write(content)

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class _ParquetAssembly:
    def __init__(self, stream: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        # a column of distinct doubles gains nothing from a dictionary and pays for the attempt
        few_values = [field.name for field in schema if not pa.types.is_floating(field.type)]
        self._writer: Any = pq.ParquetWriter(
            pa.PythonFile(stream, mode="w"), schema, use_dictionary=few_values or False
        )

    def add(self, content: bytes) -> None:
        reader = pa.ipc.open_stream(pa.py_buffer(content))
        if reader.schema != self._schema:
            raise InvalidInput(
                f"the inputs differ in their columns: {_first_difference(self._schema, reader.schema)}",
                hint="name an output folder instead of one file",
            )
        self._waiting.extend(batch for batch in reader if len(batch))
        rows = sum(len(batch) for batch in self._waiting)
        if rows >= ROW_GROUP_ROWS or sum(batch.nbytes for batch in self._waiting) >= ROW_GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self.close()

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._schema)
            self._waiting = []
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))


def _first_difference(expected: pa.Schema, found: pa.Schema) -> str:
    if expected.names != found.names:
        return f"{', '.join(expected.names)} and {', '.join(found.names)}"
    field = next(field for field in expected if found.field(field.name).type != field.type)
    return f"{field.name!r} is {field.type} and {found.field(field.name).type}"


def _encode_csv(batches: Sequence[pa.RecordBatch]) -> memoryview:
    """Return lines without quotes; with quotes around text where a cell of the batch needs them."""
    import pyarrow.csv as arrow_csv

    bare = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
    quoted = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")
    lines = pa.BufferOutputStream()
    for batch in batches:
        part = pa.BufferOutputStream()
        try:
            arrow_csv.write_csv(batch, part, bare)
        except pa.ArrowInvalid:  # a comma, quote or line end in a cell
            part = pa.BufferOutputStream()
            arrow_csv.write_csv(batch, part, quoted)
        lines.write(part.getvalue())
    return memoryview(lines.getvalue())


def _csv_header(schema: pa.Schema) -> bytes:
    cells = [
        '"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"\r\n') else name
        for name in schema.names
    ]
    return (",".join(cells) + "\n").encode()


def _encode_lines(batch: pa.RecordBatch) -> list[bytes]:
    """Return one JSON object and newline per row."""
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    encoder = msgspec.json.Encoder()
    return [encoder.encode(dict(zip(names, row, strict=True))) + b"\n" for row in zip(*columns, strict=True)]


def _values(column: pa.Array) -> list[Any]:
    """Return Python values; times as ISO text, since Arrow would import pandas for nanoseconds."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def _splice(line: bytes, answer: bytes) -> bytes:
    """Append the members of one JSON object to another's, keeping the first one's text."""
    head = line.rstrip()[:-1].rstrip()
    return head + (answer[1:] if head.endswith(b"{") else b"," + answer[1:])

"""JSON Lines: one object per line; the signature's columns are typed by it, others as the file begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.json as arrow_json

from modelport.domain.errors import InvalidInput
from modelport.jobs.inputs import Failure, Parsed, Piece
from modelport.jobs.text_input import TextCursor

Record = dict[str, Any]


class JsonLinesSource:
    """One file of JSON Lines.

    Args:
        url: Where it lies.
        types: Arrow type of each feature the model uses.
        everything: Read all keys, for joining into columns. Their types are those of the file's
            beginning.
        lines: Keep the text of each record, for joining into its line.
        bytes_max: Bytes of a piece.

    Raises:
        InvalidInput: The beginning cannot be read as objects, and columns must be known from it.
    """

    def __init__(
        self,
        url: str,
        types: Mapping[str, pa.DataType],
        *,
        everything: bool,
        lines: bool,
        bytes_max: int,
    ) -> None:
        self._url = url
        self._lines = lines
        self._cursor = TextCursor(url, bytes_max=bytes_max, quoted=False)
        self._features = {name: _plain(kind) for name, kind in types.items()}
        self._schema = pa.schema(list(self._features.items()))
        head = self._cursor.head[: self._cursor.head.rfind(b"\n") + 1] or self._cursor.head
        self._names = _keys(head, self._features)
        self._unexpected = "ignore"
        if everything:
            self._schema = self._infer(head)
            self._unexpected = "error"

    @property
    def names(self) -> list[str]:
        """Keys that occur at the file's beginning, and all features when it has no records."""
        return self._names

    @property
    def schema(self) -> pa.Schema:
        """Columns that are read."""
        return self._schema

    def next_piece(self, stop_of_done: Callable[[int], int | None]) -> Piece | None:
        """Return the next byte range that is not done."""
        return self._cursor.next_piece(stop_of_done)

    def parse(self, piece: Piece) -> Parsed:
        """Return the piece's objects as columns."""
        data: bytes = piece.content
        lines = [line for line in data.split(b"\n") if line and not line.isspace()]
        failures: list[Failure] = []
        try:
            data.decode()
            table = self._read(data)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            table = None
        if table is None or table.num_rows != len(lines):
            records = len(lines)
            lines, table = self._read_one_by_one(lines, failures)
        else:
            records = len(lines)
        batches = table.combine_chunks().to_batches() or [_empty(self._schema)]
        return Parsed(batches, records, failures, lines if self._lines else None)

    def close(self) -> None:
        """Close the file."""
        self._cursor.close()

    def _read(self, data: bytes, *, unexpected: str | None = None) -> pa.Table:
        if not data.strip():
            return self._schema.empty_table()
        table = arrow_json.read_json(
            pa.BufferReader(data),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=self._schema, unexpected_field_behavior=unexpected or self._unexpected
            ),
        )
        return table if unexpected else table.select(self._schema.names)

    def _infer(self, head: bytes) -> pa.Schema:
        try:
            found = self._read(head, unexpected="infer").schema
        except pa.ArrowInvalid:
            good, _ = self._sort_out(head.split(b"\n"), [])
            try:
                found = self._read(b"\n".join(good), unexpected="infer").schema
            except pa.ArrowInvalid as error:
                raise InvalidInput(
                    f"the columns of {self._url} cannot be told from its beginning: {error}",
                    hint="write JSON Lines instead, where each line keeps its own keys",
                ) from error
        names = [*(name for name in self._names if name in found.names), *found.names]
        return pa.schema([_settled(found.field(name)) for name in dict.fromkeys(names)])

    def _read_one_by_one(self, lines: list[bytes], failures: list[Failure]) -> tuple[list[bytes], pa.Table]:
        """Leave out the lines that cannot be read, saying why, and read the rest."""
        good, clean = self._sort_out(lines, failures)
        try:
            return good, self._read(b"\n".join(clean))
        except pa.ArrowInvalid as error:
            raise InvalidInput(
                f"{self._url} changes its columns: {error}",
                hint="write JSON Lines instead, where each line keeps its own keys",
            ) from error

    def _sort_out(self, lines: list[bytes], failures: list[Failure]) -> tuple[list[bytes], list[bytes]]:
        """Return the readable lines, as they are and as Arrow reads them."""
        good: list[bytes] = []
        clean: list[bytes] = []
        for number, line in enumerate(lines):
            if not line or line.isspace():
                continue
            try:
                record = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                failures.append((number, None, f"is not JSON: {error}"))
                continue
            if not isinstance(record, dict):
                failures.append((number, None, "is not a JSON object"))
                continue
            wrong = self._check(record)
            if wrong is not None:
                failures.append((number, *wrong))
                continue
            good.append(line)
            clean.append(msgspec.json.encode(record))
        return good, clean

    def _check(self, record: Record) -> tuple[str, str] | None:
        """Return the (feature, reason) of a value of the wrong kind; whole floats become integers."""
        for name, kind in self._features.items():
            value = record.get(name)
            if value is None:
                continue
            if pa.types.is_string(kind):
                fits = isinstance(value, str)
            elif pa.types.is_boolean(kind):
                fits = isinstance(value, bool)
            else:
                fits = isinstance(value, int | float) and not isinstance(value, bool)
                if fits and pa.types.is_integer(kind):
                    fits = float(value).is_integer() and abs(value) < 2**63
                    record[name] = int(value) if fits else value
            if not fits:
                return name, f"is {value!r}, expected {_word(kind)}"
        return None


def _keys(head: bytes, features: Mapping[str, Any]) -> list[str]:
    """Return the keys of the first records that can be read."""
    keys: dict[str, None] = {}
    seen = 0
    for line in head.split(b"\n"):
        if not line or line.isspace():
            continue
        try:
            record = msgspec.json.decode(line, type=Record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        seen += 1
        keys.update(dict.fromkeys(record))
        if keys.keys() >= features.keys():
            break
    return list(keys) if seen else list(features)


def _settled(field: pa.Field) -> pa.Field:
    """Return a column of nothing but null as text."""
    return field.with_type(pa.string()) if pa.types.is_null(field.type) else field


def _plain(kind: pa.DataType) -> pa.DataType:
    """Arrow's JSON reader knows no dictionaries."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _word(kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        return "a string"
    if pa.types.is_boolean(kind):
        return "true or false"
    return "a whole number" if pa.types.is_integer(kind) else "a number"


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)

"""`application/jsonlines`: one row per line, an object by name or a list in the order of the features.

Blank lines are skipped and not counted as rows.
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Output
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.codecs.strict_json import parse_value, refuse_doubled
from modelport.runtime.codecs.values import GeneralReader, finished, refuse_lengthy, refuse_many_values
from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import Rows


class JsonLinesDecoder:
    """Reads JSON Lines bodies.

    Args:
        schema: The model's generated fast path.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._reader = GeneralReader(schema.cells, schema.signature.row_shape)
        self._records = msgspec.json.Decoder(schema.record).decode_lines
        self._rows = msgspec.json.Decoder(schema.row).decode_lines
        self._any = msgspec.json.Decoder().decode

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows.

        Raises:
            PayloadTooLarge: It has more than ten million values.
            InvalidInput: A line is not JSON, or its row does not fit.
        """
        refuse_many_values(body)
        try:
            return self._read_fast(body)
        except Exception:  # noqa: BLE001 - whatever it was, the general path says what is wrong
            return self._read(body)

    def in_passing(self, body: bytes) -> Rows:
        """Return the body's rows, unless it is large and takes the general path."""
        refuse_many_values(body)
        try:
            return self._read_fast(body)
        except Exception:  # noqa: BLE001 - as above
            refuse_lengthy(body)
            return self._read(body)

    def _read_fast(self, body: bytes) -> Rows:
        objects = body[:1] == b"{"
        rows: list[Any] = self._records(body) if objects else self._rows(body)
        count = len(rows)
        if body.rstrip().count(b"\n") + 1 != count:  # a value over two lines, or two on one
            raise InvalidInput("not one row per line")
        schema = self._schema
        if objects and body.count(b":") not in {schema.width * count, schema.required * count}:
            raise InvalidInput("a name may stand twice")
        return Rows(b"".join(map(schema.pack_record if objects else schema.pack_row, rows)), count)

    def _read(self, body: bytes) -> Rows:
        lines = [line for line in body.split(b"\n") if line.strip()]
        packed = []
        for number, line in enumerate(lines):
            packed.append(self._read_line(number, line).data)
        return finished([bytes(row) for row in packed])

    def _read_line(self, number: int, line: bytes) -> Rows:
        try:
            value = parse_value(line, self._any, lambda value: self._reader.read([value], first=number))
        except InvalidInput as error:
            if error.row is not None:
                raise
            raise InvalidInput(f"row {number}: {error.message}", hint=error.hint, row=number) from None
        rows = self._reader.read([value], first=number)
        refuse_doubled(line, rows=1, first=number)
        return rows


class JsonLinesEncoder:
    """Writes one line per row: `{"prediction": "late", "probabilities": [0.2, 0.8]}`.

    The probabilities stand in the order of `classes` of the JSON reply; several targets are a list.
    NaN and infinity are written as `null`.

    Args:
        output: What the model answers.
    """

    content_type = "application/jsonlines"
    off_loop = False

    def __init__(self, output: Output) -> None:
        self._words = [msgspec.json.encode(label) for label in output.labels]
        self._single = len(output.targets) == 1

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Return the lines of rows `start` to `stop` (exclusive)."""
        firsts, rows = outputs.rows(start, stop).lists()
        if outputs.label is None:
            values = [row[0] for row in firsts] if self._single else firsts
            lines = [b'{"prediction":%b}\n' % msgspec.json.encode(value) for value in values]
        elif rows is None:
            lines = [b'{"prediction":%b}\n' % self._words[label] for label in firsts]
        else:
            lines = [
                b'{"prediction":%b,"probabilities":%b}\n' % (self._words[label], msgspec.json.encode(row))
                for label, row in zip(firsts, rows, strict=True)
            ]
        return b"".join(lines)

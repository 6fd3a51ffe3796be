"""`text/csv` (RFC 4180): rows in the order of the features, or under a header line in any order.

A first line is a header where at least half of its cells are names of features (so that a misspelt name is
an error and not a row), or where the media type says `header=present`. An empty cell is a missing value, NaN
one for numbers. Blank lines are skipped. A byte order mark is taken off.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter

import msgspec
import numpy as np

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Output, Value
from modelport.runtime.codecs.arrays import fits
from modelport.runtime.codecs.large_json import LARGE_BYTES, SIMDJSON
from modelport.runtime.codecs.schema import Schema, list_of
from modelport.runtime.codecs.values import GeneralReader, finished, refuse_lengthy, refuse_many_values
from modelport.runtime.numerals import read_integer, read_number
from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import FLOAT64, Rows

BOM = b"\xef\xbb\xbf"
MORE_THAN_NUMBERS = (b"[", b'"', b"{", b"null")
HEADERS_KEPT_MAX = 64
Arrange = Callable[[Sequence[str]], Sequence[str]]


class CsvDecoder:
    """Reads CSV bodies.

    Args:
        schema: The model's generated fast path.
        header: The media type's parameter: "present", "absent", or None to tell by the first line.
    """

    def __init__(self, schema: Schema, header: str | None = None) -> None:
        self._schema = schema
        self._header = header
        self._reader = GeneralReader(schema.cells)
        self._names = set(schema.names)
        self._arrangements: dict[tuple[str, ...], Arrange] = {}
        self._bare = msgspec.json.Decoder(list_of(schema.row)).decode
        self._takes_bare = (
            schema.plain
            and header != "present"
            and schema.signature.row_shape is None
            and not any(_is_number(name) for name in schema.names)  # such a header looks like a row
        )

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows.

        Raises:
            PayloadTooLarge: It has more than ten million values.
            InvalidInput: The body is not CSV, a name of the header is unknown, or a cell does not fit.
        """
        refuse_many_values(body)
        return self._read_if_bare(body) or self._read(body)

    def in_passing(self, body: bytes) -> Rows:
        """Return the body's rows, unless it is large and must be read cell by cell."""
        refuse_many_values(body)
        rows = self._read_if_bare(body)
        if rows is None:
            refuse_lengthy(body)
            rows = self._read(body)
        return rows

    def _read_if_bare(self, body: bytes) -> Rows | None:
        """Return the rows of lines of bare numbers; None where a body is anything else."""
        if not self._takes_bare:
            return None
        with suppress(Exception):  # `_read` takes everything and words the errors
            return self._read_bare(body)
        return None

    def _read_bare(self, body: bytes) -> Rows:
        """Read lines of bare numbers as the JSON they nearly are: several times as fast as cell by cell."""
        if any(mark in body for mark in MORE_THAN_NUMBERS):
            raise InvalidInput("more than bare numbers")
        text = b"[[%b]]" % body.strip().replace(b"\n", b"],[")
        if len(text) >= LARGE_BYTES:
            read = SIMDJSON.rows(text, None, self._schema.width)
            if read is not None and fits(self._schema, np.frombuffer(read[0], FLOAT64)):
                return Rows(*read)
        rows = self._bare(text)
        return Rows(b"".join(map(self._schema.pack_row, rows)), len(rows))

    def _read(self, body: bytes) -> Rows:
        body = body.removeprefix(BOM)
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"the CSV is not UTF-8: byte {body[error.start]:#04x} at {error.start}",
                hint="encode the body as UTF-8",
                row=body[: error.start].count(b"\n"),
            ) from None
        lines = _lines(text)
        first = next(lines, None)
        if first is None:
            raise InvalidInput("the body is empty, expected rows as CSV")
        # Python's readers take 1_000 and digits of other scripts; where none can stand, they may be used
        simple = text.isascii() and "_" not in text
        number, integer = (float, int) if simple else (read_number, read_integer)
        width, arrange = self._schema.width, None
        rows: list[list[str]] = []
        if self._is_header(first):
            arrange = self._arrangement(first)
            width = len(first)
        else:
            rows.append(first)
        rows += lines
        pack = self._schema.pack_text
        packed: list[bytes] = []
        for at, cells in enumerate(rows):
            if len(cells) != width:
                raise InvalidInput(
                    f"row {at}: found {len(cells)} cells, expected {width}", hint=self._hint(at), row=at
                )
            row = cells if arrange is None else arrange(cells)
            try:
                packed.append(pack(row, number, integer))
            except Exception:  # noqa: BLE001 - the general path takes more, and words the errors
                packed.append(self._reader.read_cells(at, row, hint=self._hint(at)))
        return finished(packed)

    def _arrangement(self, header: list[str]) -> Arrange:
        key = tuple(header)
        known = self._arrangements.get(key)
        if known is None:
            known = _arrange(self._reader.order_of(header, what="the header"))
            if len(self._arrangements) < HEADERS_KEPT_MAX:
                self._arrangements[key] = known
        return known

    def _is_header(self, cells: list[str]) -> bool:
        if self._header is not None:
            return self._header == "present"
        return 2 * len(self._names.intersection(cells)) >= len(cells)

    def _hint(self, row: int) -> str | None:
        if row or self._header == "present":
            return None
        return "a header line has the names of the features"


def _lines(text: str) -> Iterator[list[str]]:
    """Yield the cells of each line that is not blank."""
    number = 0
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), strict=True):
            if cells:
                yield cells
                number += 1
    except csv.Error as error:
        raise InvalidInput(
            f"row {number}: not valid CSV: {error}",
            hint='a cell with a comma, a quote or a line break stands in quotes: "a ""b"", c"',
            row=number,
        ) from None


def _arrange(order: list[int | None]) -> Arrange:
    """Return what puts a line's cells into the order of the features; a column left out reads as empty."""
    if None in order:
        return lambda cells: ["" if at is None else cells[at] for at in order]
    places = [at for at in order if at is not None]
    if len(places) == 1:
        return lambda cells: [cells[places[0]]]
    return itemgetter(*places)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class CsvEncoder:
    """Writes one line per row: the prediction (or each target), then the probabilities.

    Lines end with LF. Floats are written with the fewest digits that read back as the same float64,
    others as `nan`, `inf`, `-inf`.

    Args:
        output: What the model answers.
    """

    content_type = "text/csv"
    off_loop = False

    def __init__(self, output: Output) -> None:
        self._words = [_cell(label) for label in output.labels]

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Return the lines of rows `start` to `stop` (exclusive)."""
        firsts, rows = outputs.rows(start, stop).lists()
        if outputs.label is None:
            lines = [_join(row) for row in firsts]
        elif rows is None:
            lines = [self._words[label] for label in firsts]
        else:
            lines = [f"{self._words[label]},{_join(row)}" for label, row in zip(firsts, rows, strict=True)]
        lines.append("")
        return "\n".join(lines).encode()


def _cell(value: Value) -> str:
    """Return a label as a CSV cell, in quotes where it must be."""
    text = msgspec.json.encode(value).decode() if isinstance(value, bool) else str(value)
    if not text or any(mark in text for mark in ',"\r\n') or text != text.strip():
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


def _join(row: list[float]) -> str:
    return ",".join(map(repr, row))

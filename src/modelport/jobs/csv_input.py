"""CSV: columns typed by the signature, every other column text as it stands; an empty cell is missing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from modelport.domain.errors import InvalidInput
from modelport.jobs.inputs import Failure, Parsed, Piece
from modelport.jobs.records import last_end
from modelport.jobs.text_input import TextCursor

BOOLEANS = (["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"])


class CsvSource:
    """One CSV file.

    A first line that names a feature is the header. Without one, cells are the features in order.

    Args:
        url: Where it lies.
        features: Names of all features, in order.
        types: Arrow type of each feature the model uses.
        everything: Read all columns, for joining.
        verbatim: Keep every cell as it is written, numbers too.
        bytes_max: Bytes of a piece.

    Raises:
        InvalidInput: The header names a column twice, or there is none and the cells are not as many as
            the features.
    """

    def __init__(
        self,
        url: str,
        features: list[str],
        types: Mapping[str, pa.DataType],
        *,
        everything: bool,
        verbatim: bool,
        bytes_max: int,
    ) -> None:
        self._cursor = TextCursor(url, bytes_max=bytes_max, quoted=True)
        self._names = self._read_header(url, features)
        text = pa.string()
        wanted = {name: types.get(name, text) for name in self._names if everything or name in types}
        self._schema = pa.schema(list(wanted.items()))
        self._text = pa.schema([(name, text) for name in wanted])
        if verbatim:
            self._schema = self._text

    @property
    def names(self) -> list[str]:
        """Names of all its columns."""
        return self._names

    @property
    def schema(self) -> pa.Schema:
        """Columns that are read, as they are when every cell fits its type."""
        return self._schema

    def next_piece(self, stop_of_done: Callable[[int], int | None]) -> Piece | None:
        """Return the next byte range that is not done."""
        return self._cursor.next_piece(stop_of_done)

    def parse(self, piece: Piece) -> Parsed:
        """Return the piece's cells: typed, or as text where a cell does not fit its type."""
        data: bytes = piece.content
        failures: list[Failure] = []
        try:
            table = self._read(data, self._schema, failures)
        except pa.ArrowInvalid:
            failures.clear()
            table = self._read_as_text(data, failures)
        records = table.num_rows + len(failures)
        return Parsed(table.to_batches() or [_empty(table.schema)], records, failures)

    def close(self) -> None:
        """Close the file."""
        self._cursor.close()

    def _read_header(self, url: str, features: list[str]) -> list[str]:
        head = self._cursor.head
        newline = head.find(b"\n") + 1
        while newline and not last_end(head[:newline], quoted=True):
            newline = head.find(b"\n", newline) + 1
        first = head[:newline] if newline else head
        try:
            names = next(csv.reader([first.decode()], strict=False), [])
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{url} is not UTF-8 text: {error}", hint="save it as UTF-8") from error
        if not set(names) & set(features):
            if names and len(names) != len(features):
                raise InvalidInput(
                    f"{url} begins with {len(names)} cells, none of which names a feature; "
                    f"expected a header line, or {len(features)} cells",
                    hint=f"the features are {', '.join(features)}",
                )
            return list(features)
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InvalidInput(f"the header of {url} names {doubled[0]!r} twice", hint="rename one of them")
        self._cursor.skip_head(len(first))
        return names

    def _read(self, data: bytes, schema: pa.Schema, failures: list[Failure]) -> pa.Table:
        if not data.strip():
            return schema.empty_table()

        def note(row: Any) -> str:
            number = row.number - 1  # counts from 1
            failures.append(
                (number, None, f"has {row.actual_columns} cells, expected {row.expected_columns}")
            )
            return "skip"

        true, false = BOOLEANS
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                use_threads=False, column_names=self._names, block_size=len(data) + 1
            ),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True,
                ignore_empty_lines=len(self._names) > 1,
                invalid_row_handler=note,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=schema,
                include_columns=schema.names,
                null_values=[""],
                strings_can_be_null=True,
                true_values=true,
                false_values=false,
                auto_dict_encode=False,
            ),
        )

    def _read_as_text(self, data: bytes, failures: list[Failure]) -> pa.Table:
        """Read every cell as text, so that the encoder can say which one does not fit."""
        raw = pa.schema([(name, pa.binary()) for name in self._text.names])
        table = self._read(data, raw, failures)
        places = _places(table.num_rows, [failure[0] for failure in failures])
        broken: dict[int, Failure] = {}
        for name in raw.names:
            try:
                table.column(name).cast(pa.string())
            except pa.ArrowInvalid:
                for row, cell in enumerate(table.column(name).to_pylist()):
                    if row not in broken and not _is_text(cell):
                        broken[row] = (places[row], name, f"{cell!r} is not UTF-8 text")
        if broken:
            failures.extend(broken.values())
            failures.sort(key=lambda failure: failure[0])
            table = table.take([row for row in range(table.num_rows) if row not in broken])
        return table.cast(self._text)


def _places(rows: int, missing: Collection[int]) -> list[int]:
    """Return the record number of each row that was kept."""
    gone = set(missing)
    return [number for number in range(rows + len(gone)) if number not in gone]


def _is_text(cell: bytes | None) -> bool:
    try:
        (cell or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)

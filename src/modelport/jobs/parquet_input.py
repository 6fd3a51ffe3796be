"""Parquet: pieces are row ranges, decoded in order through small buffers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modelport.domain.errors import InvalidInput
from modelport.jobs.inputs import Parsed, Piece
from modelport.jobs.places import open_input

BUFFER_BYTES = 1 << 18
BATCH_ROWS = 1 << 13  # what a thread turns into a matrix at once: small beside a piece
ROW_BYTES_MIN = 8


class ParquetSource:
    """One Parquet file.

    Args:
        url: Where it lies.
        features: Names of the columns the model uses.
        coded: Those of them whose values are looked up in a vocabulary; read dictionary-encoded.
        everything: Read all columns, as they are, for joining.
        rows_max: Rows of a piece.

    Raises:
        InvalidInput: It is no Parquet file.
    """

    def __init__(
        self,
        url: str,
        features: Collection[str],
        coded: Collection[str],
        *,
        everything: bool,
        rows_max: int,
    ) -> None:
        self._url = url
        self._rows_max = rows_max
        self._stream = open_input(url)
        try:
            metadata = pq.read_metadata(self._stream)
            whole = metadata.schema.to_arrow_schema()
            text = [field.name for field in whole if pa.types.is_string(field.type)]
            self._file = pq.ParquetFile(
                self._stream,
                metadata=metadata,
                read_dictionary=[name for name in text if name in coded and not everything],
                buffer_size=BUFFER_BYTES,
                pre_buffer=False,
            )
        except (pa.ArrowInvalid, OSError) as error:
            raise InvalidInput(f"{url} is not a Parquet file: {error}", hint="say --input-format") from error
        self._columns = whole.names if everything else [name for name in whole.names if name in features]
        self._schema = pa.schema([self._file.schema_arrow.field(name) for name in self._columns])
        self._names = list(whole.names)
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._starts = [0, *accumulate(sizes[:-1])]
        self._index = 0
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._row = 0
        self._rest: list[pa.RecordBatch] = []

    @property
    def names(self) -> list[str]:
        """Names of all its columns."""
        return self._names

    @property
    def schema(self) -> pa.Schema:
        """Columns that are read."""
        return self._schema

    def next_piece(self, stop_of_done: Callable[[int], int | None]) -> Piece | None:
        """Return the next row range that is not done."""
        rows = self._file.metadata.num_rows
        while stop_of_done(self._index) is not None:
            self._index += 1
        start = self._index * self._rows_max
        if start >= rows and self._index > 0:
            return None
        stop = min(rows, start + self._rows_max)
        self._go_to(start)
        piece = Piece(self._index, start, stop, self._take(stop - start))
        self._index += 1
        return piece

    def parse(self, piece: Piece) -> Parsed:
        """Return the decoded batches."""
        return Parsed(piece.content, piece.stop - piece.start)

    def close(self) -> None:
        """Close the file."""
        self._batches = None
        self._rest = []
        self._file.close()
        self._stream.close()

    def _go_to(self, row: int) -> None:
        """Stand at this row; whole row groups in between are not read."""
        if self._batches is None or self._group_of(row) > self._group_of(self._row):
            group = self._group_of(row)
            self._rest = []
            self._row = self._starts[group]
            self._batches = self._file.iter_batches(
                batch_size=min(self._rows_max, BATCH_ROWS),
                row_groups=range(group, self._file.metadata.num_row_groups),
                columns=self._columns,
                use_threads=False,
            )
        while self._row < row:
            self._take(min(row - self._row, self._rows_max))

    def _take(self, count: int) -> list[pa.RecordBatch]:
        taken: list[pa.RecordBatch] = []
        wanted = count
        while wanted:
            batch = self._rest.pop() if self._rest else self._read()
            if len(batch) > wanted:
                self._rest.append(batch.slice(wanted))
                batch = batch.slice(0, wanted)
            wanted -= len(batch)
            taken.append(batch)
        self._row += count
        return taken or [_empty(self._schema)]

    def _read(self) -> pa.RecordBatch:
        assert self._batches is not None  # noqa: S101 - set by _go_to before every read
        try:
            return next(self._batches)
        except StopIteration:
            raise InvalidInput(
                f"{self._url} ends before its footer says", hint="write the file again"
            ) from None
        except (pa.ArrowInvalid, OSError) as error:
            raise InvalidInput(
                f"{self._url} is damaged after row {self._row}: {error}", hint="write the file again"
            ) from error

    def _group_of(self, row: int) -> int:
        return bisect_right(self._starts, row) - 1


def measure_parquet(url: str) -> tuple[int, int]:
    """Return (rows, bytes of one row in memory, about).

    Raises:
        InvalidInput: It is no Parquet file.
    """
    stream = open_input(url)
    try:
        metadata: Any = pq.read_metadata(stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{url} is not a Parquet file: {error}", hint="say --input-format") from error
    finally:
        stream.close()
    size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    return metadata.num_rows, max(ROW_BYTES_MIN * metadata.num_columns, size // max(1, metadata.num_rows))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)

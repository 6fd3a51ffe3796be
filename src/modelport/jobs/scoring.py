"""The threads of a batch job: take a piece, predict it, finish its shard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Signature
from modelport.jobs.board import Board
from modelport.jobs.inputs import Parsed, Piece, Source
from modelport.jobs.places import Format
from modelport.jobs.shards import Meta, Shards
from modelport.jobs.writing import encode_shard, refuse_doubles, writable
from modelport.runtime.columns import ColumnEncoder, output_schema, to_arrays
from modelport.runtime.model import LoadedModel
from modelport.runtime.outputs import Outputs, join_outputs

BLOCK_ROWS = 2048  # rows of one run of the graph: large enough to be cheap, small enough for the caches


@dataclass(frozen=True, slots=True)
class Task:
    """A piece and where it came from."""

    file: int
    source: Source
    piece: Piece


class Pieces:
    """Hands out pieces of all inputs, in order, to whoever asks.

    Args:
        files: Numbers of the inputs to read.
        open_source: Opens an input.
        signature: The model's; each input is checked against it when it is opened.
        board: Told about the end of inputs; knows what is done.
        join_columns: Input columns come before the answers.
        splices: Answers are appended to the text of the input's lines.
        output_format: Of the final file.
    """

    def __init__(
        self,
        files: Sequence[int],
        open_source: Callable[[int], Source],
        signature: Signature,
        board: Board,
        *,
        join_columns: bool,
        splices: bool,
        output_format: Format,
    ) -> None:
        self._tasks = self._walk(files, open_source)
        self._signature = signature
        self._board = board
        self.join_columns = join_columns
        self.splices = splices
        self.output_format = output_format
        self._lock = threading.Lock()

    def take(self) -> Task | None:
        """Return the next piece that is not done, or None when there are no more."""
        with self._lock:
            return next(self._tasks, None)

    def schema(self, file: int) -> pa.Schema:
        """Return the output's columns for an input that was opened."""
        return self._board.schemas[file]

    def _walk(self, files: Sequence[int], open_source: Callable[[int], Source]) -> Iterator[Task]:
        for file in files:
            source = open_source(file)
            ColumnEncoder(self._signature, source.names)  # refuses an input that lacks a feature
            answers = output_schema(self._signature)
            schema = pa.schema([*(_undictionary(source.schema) if self.join_columns else ()), *answers])
            writable(schema, self.output_format)
            if self.splices:  # into the text of lines, whose keys are not columns of the schema
                refuse_doubles([*source.names, *answers.names])
            self._board.schemas[file] = schema
            done = self._board.stops(file)
            count = max(done, default=-1) + 1
            while (piece := source.next_piece(done.get)) is not None:
                count = max(count, piece.index + 1)
                yield Task(file, source, piece)
            source.close()
            self._board.end(file, count)


class Scorer:
    """Predicts pieces; one for each thread.

    Args:
        model: What answers; shared.
        shards: Where finished shards go.
        pieces: Where the work comes from; knows the output.
    """

    def __init__(self, model: LoadedModel, shards: Shards, pieces: Pieces) -> None:
        self._model = model
        self._shards = shards
        self._pieces = pieces
        self._encoder: tuple[list[str], ColumnEncoder] | None = None

    def score(self, task: Task) -> Meta:
        """Predict a piece and finish its shard."""
        parsed = task.source.parse(task.piece)
        schema = self._pieces.schema(task.file)
        kept = _kept(parsed)
        failures = list(parsed.failures)
        batches: list[pa.RecordBatch] = []
        lines: list[bytes] = []
        offset = 0
        for batch in parsed.batches:
            encoded = self._encoder_for(batch).encode(batch)
            bad = [row for row, _, _ in encoded.failures]
            failures += [(kept[offset + row], feature, reason) for row, feature, reason in encoded.failures]
            good = _all_but(bad, len(batch)) if bad else None
            matrix = encoded.matrix if good is None else encoded.matrix[good]
            answers = to_arrays(self._model.signature, self._run(matrix))
            if self._pieces.join_columns:
                rows = batch if good is None else batch.take(_indices(good))
                answers = [*_typed(rows, schema), *answers]
            batches.append(pa.RecordBatch.from_arrays(answers, schema=schema))
            if parsed.lines is not None:
                numbers = range(len(batch)) if good is None else good.tolist()
                lines += [parsed.lines[offset + number] for number in numbers]
            offset += len(batch)
        failures.sort(key=lambda failure: failure[0])
        meta = Meta(task.piece.start, task.piece.stop, parsed.records, failures)
        content = encode_shard(batches, self._pieces.output_format, None if parsed.lines is None else lines)
        self._shards.write(task.file, task.piece.index, meta, content)
        return meta

    def _run(self, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Outputs:
        if len(matrix) == 0:
            return _no_answers(self._model.signature)
        return join_outputs(
            [
                self._model.run(matrix[start : start + BLOCK_ROWS])
                for start in range(0, len(matrix), BLOCK_ROWS)
            ]
        )

    def _encoder_for(self, batch: pa.RecordBatch) -> ColumnEncoder:
        names = batch.schema.names
        if self._encoder is None or self._encoder[0] != names:
            self._encoder = (names, ColumnEncoder(self._model.signature, names))
        return self._encoder[1]


def run_threads(
    count: int, pieces: Pieces, scorer: Callable[[], Scorer], board: Board, halt: threading.Event
) -> list[threading.Thread]:
    """Start threads that score until nothing is left, one fails, or `halt` is set; return them."""

    def work() -> None:
        try:
            own = scorer()
            while not halt.is_set() and (task := pieces.take()) is not None:
                board.finish(task.file, task.piece.index, own.score(task))
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            halt.set()
            board.fail(error)

    threads = [threading.Thread(target=work, name=f"scorer-{number}") for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def _kept(parsed: Parsed) -> Sequence[int]:
    """Return the record number of each row that could be read."""
    if not parsed.failures:
        return range(parsed.records)
    gone = {number for number, _, _ in parsed.failures}
    return [number for number in range(parsed.records) if number not in gone]


def _all_but(rows: list[int], count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    mask = np.ones(count, dtype=np.bool_)
    mask[rows] = False
    return np.flatnonzero(mask).astype(np.int64)


def _indices(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)])


def _undictionary(schema: pa.Schema) -> list[pa.Field]:
    """Return the columns as files hold them: dictionaries differ from batch to batch."""
    return [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]


def _typed(batch: pa.RecordBatch, schema: pa.Schema) -> list[pa.Array]:
    """Return the input's columns in the output's types; text that a cell did not fit becomes its number."""
    columns: list[pa.Array] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = schema.field(name).type
        if column.type != kind:
            try:
                # 3.0 is a whole number too
                whole = column.cast(pa.float64()) if pa.types.is_integer(kind) else column
                columns.append(whole.cast(kind))
            except pa.ArrowInvalid as error:
                raise InvalidInput(
                    f"column {name!r} cannot be written as {kind}: {error}",
                    hint="write CSV instead, or leave out --join",
                ) from error
        else:
            columns.append(column)
    return columns


def _no_answers(signature: Signature) -> Outputs:
    output = signature.output
    if output.labels:
        probabilities = np.empty((0, len(output.labels))) if output.probabilities else None
        return Outputs(np.empty(0, dtype=np.int64), probabilities)
    return Outputs(predictions=np.empty((0, len(output.targets))))

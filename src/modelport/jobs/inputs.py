"""What reading an input means, whichever format: pieces in order, each turned into a table by a worker.

A source cuts its file into *pieces*, one after the other, under the caller's lock; cutting is cheap. What
costs (parsing text) happens in `parse`, which many threads call at once. A piece holds whole records, and
cutting the same file again gives the same pieces: that makes a batch job resumable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

Failure = tuple[int, str | None, str]
"""Record of the piece (from 0), feature or None, reason."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One shard's input.

    Args:
        index: Which piece of its file, from 0.
        start: First row (Parquet) or byte (text).
        stop: End, exclusive.
        content: Record batches, or bytes.
    """

    index: int
    start: int
    stop: int
    content: Any


@dataclass(frozen=True, slots=True)
class Parsed:
    """A piece as tables.

    Args:
        batches: The records that could be read, in order.
        records: How many records the piece holds, unreadable ones too.
        failures: The unreadable ones, in order.
        lines: JSON Lines only, and only when asked for: the text of each readable record.
    """

    batches: Sequence[pa.RecordBatch]
    records: int
    failures: Sequence[Failure] = field(default=())
    lines: Sequence[bytes] | None = None


class Source(Protocol):
    """One input file, opened."""

    @property
    def names(self) -> list[str]:
        """Names of all its columns, for matching with the signature."""
        ...

    def next_piece(self, stop_of_done: Callable[[int], int | None]) -> Piece | None:
        """Return the next piece that is not done, or None at the end. Not safe for several threads.

        Args:
            stop_of_done: Where the piece with this index ended if it is done already, else None.
        """
        ...

    def parse(self, piece: Piece) -> Parsed:
        """Return the piece as record batches of `schema`. Safe for several threads."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Columns that `parse` gives."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...

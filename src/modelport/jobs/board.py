"""What the threads of a batch job have done, and how the main thread hears of it."""

from __future__ import annotations

import threading
from collections import defaultdict

import pyarrow as pa

from modelport.jobs.shards import Meta


class Board:
    """Finished shards and their counts; safe for several threads.

    Args:
        done: Shards that earlier runs finished.
    """

    def __init__(self, done: dict[tuple[int, int], Meta]) -> None:
        self._changed = threading.Condition()
        self._done: dict[int, dict[int, Meta]] = defaultdict(dict)
        self._pieces: dict[int, int] = {}
        self._records: dict[int, int] = defaultdict(int)
        self._covered: dict[int, int] = defaultdict(int)
        self._error: BaseException | None = None
        self.schemas: dict[int, pa.Schema] = {}
        self.records_now = 0
        self.shards_now = 0
        for (file, index), meta in done.items():
            self._count(file, index, meta)

    def finish(self, file: int, index: int, meta: Meta) -> None:
        """Tell that a shard is done."""
        with self._changed:
            self._count(file, index, meta)
            self.records_now += meta.records
            self._changed.notify_all()

    def end(self, file: int, pieces: int) -> None:
        """Tell how many pieces an input has."""
        with self._changed:
            self._pieces[file] = pieces
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Tell that a thread cannot go on."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def stops(self, file: int) -> dict[int, int]:
        """Return where each finished piece of an input ends."""
        with self._changed:
            return {index: meta.stop for index, meta in self._done[file].items()}

    def wait_for(self, file: int, index: int, seconds: float) -> Meta | bool:
        """Return a shard's meta, True when the input has no such piece, or False when it is not done yet.

        Args:
            file: Number of the input.
            index: Number of the piece.
            seconds: How long to wait for news.

        Raises:
            BaseException: What stopped a thread.
        """
        with self._changed:
            for waited in (False, True):
                if self._error is not None:
                    raise self._error
                if file in self.schemas and index in self._done[file]:
                    return self._done[file][index]
                if index >= self._pieces.get(file, index + 1):
                    return True
                if not waited:
                    self._changed.wait(seconds)
        return False

    def records(self, file: int) -> int:
        """Return the records of an input that are done."""
        return self._records[file]

    def covered(self, file: int) -> int:
        """Return the rows (Parquet) or bytes (text) of an input that are done."""
        return self._covered[file]

    def _count(self, file: int, index: int, meta: Meta) -> None:
        self._done[file][index] = meta
        self._records[file] += meta.records
        self._covered[file] += meta.stop - meta.start
        self.shards_now += 1

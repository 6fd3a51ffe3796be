"""A stream of log lines: what a process wrote, the part that was put aside first.

A position counts the bytes of the whole stream, so that it stays what it is when a log is put aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from modelport.control.log_marks import ROTATED, Marks
from modelport.domain.log_lines import (
    Line,
    line_starts,
    mark_of,
    offset_since,
    part_ahead,
    part_behind,
)

QUIET_MS = 2_000
"""A line without an end is given as it is when nothing has followed for so long."""


@dataclass(slots=True)
class _Part:
    """One file of a stream, as far as it may be read.

    Args:
        path: Of the log.
        inode: Of the log; another file under its name is none of this part.
        base: Position of its first byte.
        size: Bytes that have a time.
        marks: Its marks.
        modified_ms: When it was last written to.
    """

    path: Path
    inode: int
    base: int
    size: int
    marks: Marks
    modified_ms: int

    @property
    def end(self) -> int:
        return self.base + self.size

    def read(self, begin: int, end: int) -> bytes:
        """Return bytes of the file; fewer, or none, where it is not what it was."""
        try:
            with self.path.open("rb") as file:
                if self.path.stat().st_ino != self.inode:
                    return b""
                file.seek(begin)
                return file.read(min(end, self.size) - begin)
        except FileNotFoundError:
            return b""

    def start_after(self, offset: int) -> int:
        """Return where the first line begins at or after an offset; the end where none does."""
        if offset >= self.size:
            return self.size
        begin, end = part_ahead(offset)
        starts = line_starts(self.read(begin, end), begin)
        return next((start for start in starts if start >= offset), self.size)

    def last_start(self) -> int:
        """Return where the line begins that has no end yet; the end where all have one."""
        if self.size == 0:
            return 0
        begin, end = part_behind(self.size)
        return max(line_starts(self.read(begin, end), begin), default=0)

    def lines(self, begin: int, end: int) -> Iterator[Line]:
        """Yield what lies between two offsets, the first line from wherever that begins."""
        while begin < end:
            first, last = part_ahead(begin)
            data = self.read(first, min(last, end))
            cuts = [start for start in line_starts(data, first) if begin < start < end]
            if first + len(data) >= end:
                cuts.append(end)
            if not cuts:  # the file is not what it was
                return
            for cut in cuts:
                yield self._line(begin, cut, data[begin - first : cut - first])
                begin = cut

    def lines_back(self, begin: int, end: int) -> Iterator[Line]:
        """Yield what lies between two offsets, the last line first."""
        while begin < end:
            first, _ = part_behind(end)
            data = self.read(first, end)
            cuts = [start for start in line_starts(data, first) if begin <= start < end]
            if first <= begin and begin not in cuts:
                cuts.insert(0, begin)
            if not cuts or first + len(data) < end:
                return
            for cut in reversed(cuts):
                yield self._line(cut, end, data[cut - first : end - first])
                end = cut

    def _line(self, begin: int, end: int, data: bytes) -> Line:
        at = self.marks[min(mark_of(self.marks, begin), len(self.marks) - 1)][1]
        text = data.rstrip(b"\r\n").decode("utf-8", "replace")
        return Line(self.base + begin, self.base + end, at, text)


class LogStream:
    """A stream, open for reading as it is now. A context.

    Args:
        log: Of the process.
        marks: Its file of marks.
        now_ms: The time.
    """

    def __init__(self, log: Path, marks: Path, now_ms: int) -> None:
        self._stack = ExitStack()
        self._parts: list[_Part] = []
        for suffix in (ROTATED, ""):
            with suppress(FileNotFoundError):
                self._open(log.with_name(log.name + suffix), marks.with_name(marks.name + suffix))
        self.end = self._find_end(now_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def start(self) -> int:
        """Position of the oldest line that is left."""
        return self._parts[0].base if self._parts else 0

    @property
    def stored_bytes(self) -> int:
        """Bytes that are left."""
        return sum(part.size for part in self._parts)

    @property
    def first_at(self) -> int | None:
        """When the oldest line was written, in milliseconds since 1970; None: there is none."""
        return next((part.marks[1][1] for part in self._parts if len(part.marks) > 1), None)

    @property
    def last_at(self) -> int | None:
        """When the stream was last written to; None: it never was."""
        return next((part.marks[-1][1] for part in reversed(self._parts) if len(part.marks) > 1), None)

    def since(self, at: int) -> int:
        """Return the position of the first line of a moment or later; the end where there is none."""
        for part in self._parts:
            offset = part.start_after(offset_since(part.marks, at))
            if offset < part.size:
                return min(part.base + offset, self.end)
        return self.end

    def lines(self, begin: int, end: int) -> Iterator[Line]:
        """Yield the lines between two positions, the oldest first."""
        for part in self._parts:
            yield from part.lines(max(begin - part.base, 0), min(end - part.base, part.size))

    def lines_back(self, begin: int, end: int) -> Iterator[Line]:
        """Yield the lines between two positions, the newest first."""
        for part in reversed(self._parts):
            yield from part.lines_back(max(begin - part.base, 0), min(end - part.base, part.size))

    def _open(self, path: Path, marks_path: Path) -> None:
        status = path.stat()
        marks = Marks(marks_path)
        self._stack.callback(marks.close)
        head = marks.head()
        if head is not None and head.inode == status.st_ino:
            size = min(marks[-1][0], status.st_size)
            modified_ms = status.st_mtime_ns // 1_000_000
            self._parts.append(_Part(path, head.inode, head.base, size, marks, modified_ms))

    def _find_end(self, now_ms: int) -> int:
        if not self._parts:
            return 0
        newest = self._parts[-1]
        quiet = now_ms - newest.modified_ms >= QUIET_MS
        return newest.base + (newest.size if quiet else newest.last_start())

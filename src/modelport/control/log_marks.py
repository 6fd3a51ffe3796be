"""The times of a log: a small file of marks beside it, written while the log grows.

A process writes to its log itself, with nothing in between that could lose its last words; so its lines
have no times. Whoever looks at the log, `LogWatch` about once a second and each reader, first notes how long
it was when it was last written to.

The file: a header (inode of the log, position in its stream at which it begins), then marks (offset,
milliseconds), each two numbers of eight bytes. What a crash left half-written is overwritten.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, overload

from modelport.domain.log_lines import Mark, next_mark

PAIR = struct.Struct("<qq")
ROTATED = ".1"
"""Ends the name of a log that was put aside, see `supervisor/child.py`; and of its marks here."""


class Head(NamedTuple):
    """What a file of marks says first.

    Args:
        inode: Of the log that it is about.
        base: Position in the stream at which that log begins.
    """

    inode: int
    base: int


class Marks(Sequence[Mark]):
    """The marks of one log, read one by one.

    Args:
        path: Of the file of marks.

    Raises:
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._count = os.fstat(self._file.fileno()).st_size // PAIR.size - 1

    def head(self) -> Head | None:
        """Return what the file says first; None: it says nothing yet."""
        return Head(*self._pair(0)) if self._count > 0 else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        return max(0, self._count)

    @overload
    def __getitem__(self, number: int) -> Mark: ...
    @overload
    def __getitem__(self, number: slice) -> list[Mark]: ...
    def __getitem__(self, number: int | slice) -> Mark | list[Mark]:
        """Return one mark, or several."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        place = number if number >= 0 else len(self) + number
        if not 0 <= place < len(self):
            raise IndexError(number)
        return self._pair(place + 1)

    def _pair(self, place: int) -> tuple[int, int]:
        first, second = PAIR.unpack(os.pread(self._file.fileno(), PAIR.size, place * PAIR.size))
        return first, second


def note_log(log: Path, marks: Path, now_ms: int) -> None:
    """Note how long a log is; follow it when it was put aside or truncated. One caller at a time.

    Args:
        log: The log; need not be there.
        marks: Its file of marks, in a folder that is there; need not be there.
        now_ms: The time.

    Raises:
        OSError: It cannot be noted.
    """
    try:
        status = log.stat()
    except FileNotFoundError:
        return
    head, last = _read_end(marks)
    if head is None:
        _begin(marks, Head(status.st_ino, 0), 0)
        last = (0, 0)
    elif head.inode != status.st_ino or status.st_size < last[0]:
        last = _begin_anew(log, marks, Head(*head), status.st_ino, now_ms)
    mark = next_mark(last, status.st_size, status.st_mtime_ns // 1_000_000, now_ms)
    if mark is not None:
        _append(marks, mark)


def _begin_anew(log: Path, marks: Path, head: Head, inode: int, now_ms: int) -> Mark:
    """Go on with another file where the one before ended; keep that one's marks if it was put aside."""
    aside = log.with_name(log.name + ROTATED)
    with suppress(FileNotFoundError):
        status = aside.stat()
        if head.inode == status.st_ino != inode:
            mark = next_mark(_read_end(marks)[1], status.st_size, status.st_mtime_ns // 1_000_000, now_ms)
            if mark is not None:
                _append(marks, mark)
    size, at = _read_end(marks)[1]
    if head.inode != inode:
        marks.replace(marks.with_name(marks.name + ROTATED))
    _begin(marks, Head(inode, head.base + size), at)
    return 0, at


def _begin(marks: Path, head: Head, since_ms: int) -> None:
    marks.write_bytes(PAIR.pack(*head) + PAIR.pack(0, since_ms))


def _append(marks: Path, mark: Mark) -> None:
    with marks.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - size % PAIR.size)
        file.write(PAIR.pack(*mark))


def _read_end(path: Path) -> tuple[Head | None, Mark]:
    try:
        marks = Marks(path)
    except FileNotFoundError:
        return None, (0, 0)
    try:
        return marks.head(), marks[-1] if len(marks) else (0, 0)
    finally:
        marks.close()

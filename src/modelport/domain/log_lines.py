"""Lines of a log, found from any place in the file, and when they were written. Pure.

A line ends after a newline. One without an end is cut: at each multiple of `PIECE` before which a whole piece
has no newline. So no line is longer than two pieces, and where lines begin can be told from a few pieces
around a place, the same from wherever one reads.

A log has no times of its own. A *mark* says how long the file was at some moment; a line has the time of the
first mark that lies beyond its first byte.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

PIECE = 128 << 10
NEWLINE = b"\n"

Mark = tuple[int, int]
"""An offset, and milliseconds since 1970: then the file was that long."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a stream.

    Args:
        start: Position of its first byte.
        end: Position after its last one, its newline included.
        at: Milliseconds since 1970.
        text: Without its newline; bytes that are no UTF-8 are replaced. Empty: an empty line.
    """

    start: int
    end: int
    at: int
    text: str


def line_starts(data: bytes, offset: int, piece: int = PIECE) -> list[int]:
    """Return where lines begin in a part of a file, as far as the part can tell; the end of a line is one.

    Args:
        data: The part.
        offset: Where it lies in the file: a multiple of `piece`. What is told of its first byte is left out,
            as that depends on what lies before, unless that is the file's.
        piece: Length at which lines without an end are cut.
    """
    found = [0] if offset == 0 else []
    for begin in range(0, len(data), piece):
        block = data[begin : begin + piece]
        starts = _after_newlines(block)
        if not starts and len(block) == piece:
            starts = [piece]
        found += [offset + begin + start for start in starts]
    return found


def _after_newlines(block: bytes) -> list[int]:
    found, place = [], block.find(NEWLINE)
    while place >= 0:
        found.append(place + 1)
        place = block.find(NEWLINE, place + 1)
    return found


def part_ahead(offset: int, piece: int = PIECE, pieces: int = 8) -> tuple[int, int]:
    """Return where a part begins and ends that tells how the line at an offset ends."""
    begin = max(0, offset // piece - 1) * piece
    return begin, begin + pieces * piece


def part_behind(offset: int, piece: int = PIECE, pieces: int = 8) -> tuple[int, int]:
    """Return where a part begins and ends that tells how the line before an offset begins."""
    return max(0, (offset - 1) // piece - pieces + 1) * piece, offset


def next_mark(last: Mark, size: int, modified_ms: int, now_ms: int) -> Mark | None:
    """Return what to note of a file; None: nothing new.

    The file was as long as it is when it was last written to, which it may have been long ago. Times never go
    back and never lie ahead, whatever somebody did to the file's own.

    Args:
        last: The last mark.
        size: The file's length.
        modified_ms: When it was last written to, as the file system has it.
        now_ms: The time.
    """
    return (size, max(last[1], min(modified_ms, now_ms))) if size > last[0] else None


def mark_of(marks: Sequence[Mark], offset: int) -> int:
    """Return the number of the mark that tells the time of what begins at an offset."""
    return bisect_right(marks, offset, key=lambda mark: mark[0])


def offset_since(marks: Sequence[Mark], at: int) -> int:
    """Return the offset from which on all that begins is of a moment or later; all before it is earlier.

    Args:
        marks: Of the file, the first of them at offset 0; both parts grow.
        at: The moment.
    """
    number = bisect_left(marks, at, key=lambda mark: mark[1])
    return marks[number - 1][0] if number else 0

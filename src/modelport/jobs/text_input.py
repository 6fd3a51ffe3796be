"""CSV and JSON Lines as bytes: pieces of about equal size that end where a record ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from modelport.domain.errors import InvalidInput
from modelport.jobs.inputs import Piece
from modelport.jobs.places import extension, open_input
from modelport.jobs.records import last_end

RECORD_BYTES_MAX = 32 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextCursor:
    """Walks through a text file, piece by piece.

    Args:
        url: Where it lies; `.gz`, `.bz2` and `.zst` are unpacked.
        bytes_max: Bytes of a piece; one record may be larger.
        quoted: Newlines between quotes do not end a record (CSV).
    """

    def __init__(self, url: str, *, bytes_max: int, quoted: bool) -> None:
        self._url = url
        self._bytes_max = bytes_max
        self._quoted = quoted
        self._seekable = extension(url)[1] is None
        self._stream = self._open()
        self._rest = b""
        self._position = 0
        self._index = 0
        self.head = self._read_to(bytes_max)
        mark = len(BYTE_ORDER_MARK) if self.head.startswith(BYTE_ORDER_MARK) else 0
        self.head = self.head[mark:]
        self._rest = self.head
        self._position = mark

    def skip_head(self, size: int) -> None:
        """Begin `size` bytes later: a header line is no record."""
        self._rest = self._rest[size:]
        self._position += size

    def next_piece(self, stop_of_done: Callable[[int], int | None]) -> Piece | None:
        """Return the next piece that is not done; a file without records has one empty piece."""
        while (stop := stop_of_done(self._index)) is not None:
            self._skip_to(stop)
            self._index += 1
        data = self._rest + self._read_to(self._bytes_max - len(self._rest))
        if not data and self._index > 0:
            return None
        size = self._bytes_max
        while len(data) >= size:  # not the end of the file
            end = last_end(data, quoted=self._quoted)
            if end:
                break
            if size > RECORD_BYTES_MAX:
                raise InvalidInput(
                    f"{self._url} holds a record of more than {RECORD_BYTES_MAX} bytes at byte "
                    f"{self._position}, expected a line end",
                    hint="look for a quote that is never closed",
                )
            size *= 2
            data += self._read_to(size - len(data))
        else:
            end = len(data)
        piece = Piece(self._index, self._position, self._position + end, data[:end])
        self._rest = data[end:]
        self._position += end
        self._index += 1
        return piece

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _open(self) -> Any:
        stream = open_input(self._url)
        compression = extension(self._url)[1]
        return stream if compression is None else pa.CompressedInputStream(stream, compression)

    def _read_to(self, wanted: int) -> bytes:
        """Return this many bytes, fewer only at the end."""
        parts: list[bytes] = []
        while wanted > 0:
            try:
                part: bytes = self._stream.read(wanted)
            except OSError as error:
                raise InvalidInput(f"cannot read {self._url}: {error}", hint="check the file") from error
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _skip_to(self, stop: int) -> None:
        ahead = stop - self._position
        if ahead <= len(self._rest):
            self._rest = self._rest[ahead:]
        else:
            ahead -= len(self._rest)
            self._rest = b""
            if self._seekable:
                self._stream.seek(stop)
            else:
                while ahead > 0:
                    ahead -= len(self._read_to(min(ahead, self._bytes_max)))
        self._position = stop

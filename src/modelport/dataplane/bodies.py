"""Bodies that come in pieces: of a length that was told, or in chunks; read strictly and within bounds.

Memory follows what came, never what was announced, and a client that sends a byte at a time gets no object
for each of them.

Source: RFC 9112 section 7.1. Chunk extensions and trailers are read over; a bare line feed, or anything but
CRLF after a chunk, is refused.
"""

from __future__ import annotations

import re
from typing import Protocol

from modelport.dataplane.heads import Malformed

SIZE_LINE_BYTES_MAX = 256
TRAILER_BYTES_MAX = 8192
SMALL_CHUNKS_MAX = 16_384
SMALL_CHUNK_BYTES = 256
SMALL_PIECE_BYTES = 4096
SIZE = rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[\x20-\x7e\t]*)?"
SIZE_LINE = re.compile(SIZE)
CHUNK_HEAD = re.compile(SIZE + rb"\r\n")
TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\x20-\x7e\t\x80-\xff]*")
CRLF = b"\r\n"


class Body(Protocol):
    """Takes the bytes after a head until the body is complete."""

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes.

        Returns:
            What follows the body, perhaps nothing (`b""`), once it is complete; None before.

        Raises:
            Malformed: They cannot be of a body.
        """
        ...

    def whole(self) -> bytes:
        """Return the body, once it is complete."""
        ...


class Pieces:
    """Bytes that came one after the other; small ones share a buffer."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray] = []

    def add(self, piece: bytes) -> None:
        """Take one more."""
        parts = self._parts
        if len(piece) >= SMALL_PIECE_BYTES:
            parts.append(piece)
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += piece
        else:
            parts.append(bytearray(piece))

    def joined(self) -> bytes:
        """Return all of them."""
        return b"".join(self._parts)


class SizedBody:
    """A body whose length the head told.

    Args:
        length: Bytes, at least 1.
    """

    __slots__ = ("_missing", "_pieces")

    def __init__(self, length: int) -> None:
        self._missing = length
        self._pieces = Pieces()

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes; see `Body`."""
        missing = self._missing
        if len(data) < missing:
            self._pieces.add(data)
            self._missing = missing - len(data)
            return None
        self._pieces.add(data if len(data) == missing else data[:missing])
        self._missing = 0
        return data[missing:]

    def whole(self) -> bytes:
        """Return the body."""
        return self._pieces.joined()


class ChunkedBody:
    """A body in chunks.

    Args:
        bytes_max: Largest body.
    """

    __slots__ = ("_bytes_max", "_missing", "_phase", "_pieces", "_rest", "_small", "_trailer_bytes", "size")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._pieces = Pieces()
        self._phase = "size"
        self._missing = 0
        self._rest = b""
        self._small = 0
        self._trailer_bytes = 0
        self.size = 0

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes; see `Body`."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0
        while True:
            if self._phase == "size":
                at = self._take_whole(data, at)
            if self._phase == "data":
                at = self._take_data(data, at)
            if self._phase == "end":
                at = self._take_end(data, at)
            if self._phase in ("data", "end"):
                return None
            line, at = self._line(data, at)
            if line is None:
                return None
            if self._phase == "trailers" and not line:
                return data[at:]
            self._read_line(line)

    def whole(self) -> bytes:
        """Return the body."""
        return self._pieces.joined()

    def _take_whole(self, data: bytes, at: int) -> int:
        """Take the chunks that are there from beginning to end; anything else is left to the other steps."""
        match, add = CHUNK_HEAD.match, self._pieces.add
        while found := match(data, at):
            start = found.end()
            size = int(found[1], 16)
            stop = start + size
            if size == 0 or start - at > SIZE_LINE_BYTES_MAX or data[stop : stop + 2] != CRLF:
                return at
            self._count(size)
            add(data[start:stop])
            at = stop + 2
        return at

    def _take_data(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._missing]
        self._pieces.add(piece)
        self._missing -= len(piece)
        if not self._missing:
            self._phase = "end"
        return at + len(piece)

    def _take_end(self, data: bytes, at: int) -> int:
        """Take the CRLF after a chunk's data."""
        found = data[at : at + 2]
        if not CRLF.startswith(found):
            raise Malformed(400, "a chunk does not end with CRLF")
        if len(found) < len(CRLF):
            self._rest = found
            return at
        self._phase = "size"
        return at + 2

    def _line(self, data: bytes, at: int) -> tuple[bytes | None, int]:
        """Return the next line without its end, or None while it is not complete, and where to go on."""
        end = data.find(b"\n", at)
        longest = SIZE_LINE_BYTES_MAX if self._phase == "size" else TRAILER_BYTES_MAX - self._trailer_bytes
        if (len(data) if end < 0 else end) - at > longest:
            raise Malformed(400, "a chunk's size line or the trailers are too long")
        if end < 0:
            self._rest = data[at:]
            return None, at
        if end == at or data[end - 1] != 0x0D:
            raise Malformed(400, "a bare line feed in a chunked body")
        if self._phase == "trailers":
            self._trailer_bytes += end - at
        return data[at : end - 1], end + 1

    def _read_line(self, line: bytes) -> None:
        """Read the size line of a chunk, or a trailer."""
        if self._phase == "trailers":
            if not TRAILER.fullmatch(line):
                raise Malformed(400, "a trailer is malformed")
            return
        match = SIZE_LINE.fullmatch(line)
        if match is None:
            raise Malformed(400, "a chunk's size is no hexadecimal number")
        size = int(match[1], 16)
        if size == 0:
            self._phase = "trailers"
            return
        self._count(size)
        self._missing = size
        self._phase = "data"

    def _count(self, size: int) -> None:
        self.size += size
        if self.size > self._bytes_max:
            raise Malformed(413, f"the body is larger than {self._bytes_max} bytes")
        if size < SMALL_CHUNK_BYTES:
            self._small += 1
            if self._small > SMALL_CHUNKS_MAX:
                raise Malformed(413, f"more than {SMALL_CHUNKS_MAX} chunks under {SMALL_CHUNK_BYTES} bytes")

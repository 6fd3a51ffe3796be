"""Bodies in chunks, read strictly and within bounds.

Source: RFC 9112 section 7.1. Chunk extensions and trailers are read over; a bare line feed, or anything but
CRLF after a chunk, is refused.
"""

from __future__ import annotations

import re

from modelport.dataplane.heads import Malformed

SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[\x20-\x7e\t]*)?")
SIZE_LINE_BYTES_MAX = 256
TRAILER_BYTES_MAX = 8192
SMALL_CHUNKS_MAX = 65_536
SMALL_CHUNK_BYTES = 256
TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\x20-\x7e\t\x80-\xff]*")


class ChunkedBody:
    """Takes the bytes after a head until the last chunk has come.

    Args:
        bytes_max: Largest body.
    """

    __slots__ = ("_bytes_max", "_missing", "_parts", "_phase", "_rest", "_small", "_trailer_bytes", "size")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._parts: list[bytes] = []
        self._phase = "size"
        self._missing = 0
        self._rest = b""
        self._small = 0
        self._trailer_bytes = 0
        self.size = 0

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes.

        Returns:
            What follows the body, perhaps nothing (`b""`), once it is complete; None before.

        Raises:
            Malformed: They are no proper chunks, or too many.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0
        while True:
            if self._phase == "data":
                at = self._take_data(data, at)
            if self._phase == "end":
                at = self._take_end(data, at)
            if self._phase in ("data", "end"):
                return None
            line, at = self._line(data, at)
            if line is None:
                return None
            if self._phase == "size":
                self._open_chunk(line)
            elif not line:
                return data[at:]
            elif not TRAILER.fullmatch(line):
                raise Malformed(400, "a trailer is malformed")

    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(self._parts)

    def _take_data(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._missing]
        self._parts.append(piece)
        self._missing -= len(piece)
        if not self._missing:
            self._phase = "end"
        return at + len(piece)

    def _take_end(self, data: bytes, at: int) -> int:
        """Take the CRLF after a chunk's data."""
        found = data[at : at + 2]
        if not b"\r\n".startswith(found):
            raise Malformed(400, "a chunk does not end with CRLF")
        if len(found) < 2:
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

    def _open_chunk(self, line: bytes) -> None:
        match = SIZE_LINE.fullmatch(line)
        if match is None:
            raise Malformed(400, "a chunk's size is no hexadecimal number")
        size = int(match[1], 16)
        if size == 0:
            self._phase = "trailers"
            return
        self.size += size
        if self.size > self._bytes_max:
            raise Malformed(413, f"the body is larger than {self._bytes_max} bytes")
        if size < SMALL_CHUNK_BYTES:
            self._small += 1
            if self._small > SMALL_CHUNKS_MAX:
                raise Malformed(413, f"more than {SMALL_CHUNKS_MAX} chunks under {SMALL_CHUNK_BYTES} bytes")
        self._missing = size
        self._phase = "data"

"""Bodies sent with a Content-Encoding: gzip, deflate or zstd, unpacked within limits.

What a few kilobytes unpack to is decided by whoever sent them, so it is unpacked piece by piece and given up
as soon as it passes a limit.

Source: RFC 9110, section 8.4; RFC 1950 to 1952; RFC 8878 and RFC 9659 (a window of at most 8 MiB).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from modelport.domain.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from modelport.runtime.wording import found

ENCODINGS = ("gzip", "deflate", "zstd")
FREE_BYTES = 1 << 20  # a body may always unpack to this much, however small it is
PIECE_BYTES = 64 << 10
MEMBERS_MAX = 1000
ZSTD_WINDOW_LOG_MAX = 23
GZIP_WINDOW = 31
ZLIB_WINDOW = 15
RAW_WINDOW = -15


@dataclass(frozen=True, slots=True)
class Unpacking:
    """What unpacked bodies are limited to.

    Args:
        bytes_max: Bytes after unpacking, at least 1.
        ratio_max: Bytes after unpacking for each byte before, beyond the first MiB; at least 1.
    """

    bytes_max: int = 64 << 20
    ratio_max: int = 100

    def limit(self, size: int) -> int:
        """Return how many bytes `size` packed ones may become."""
        return min(self.bytes_max, max(FREE_BYTES, self.ratio_max * size))


UNPACKING = Unpacking()


def parse_content_encoding(value: str | None) -> str | None:
    """Return which of `ENCODINGS` a header's value names, None where the body is sent as it is.

    Raises:
        UnsupportedMediaType: It names another, or several.
    """
    said = (value or "").strip().lower()
    if said in ("", "identity"):
        return None
    name = "gzip" if said == "x-gzip" else said
    if name not in ENCODINGS:
        raise UnsupportedMediaType(
            f"Content-Encoding: nothing unpacks {found(value)}", hint=f"use one of {', '.join(ENCODINGS)}"
        )
    return name


def unpack(body: bytes, encoding: str, limits: Unpacking) -> bytes:
    """Return a body as it was before it was packed.

    Args:
        body: As sent.
        encoding: One of `ENCODINGS`.
        limits: How much it may become.

    Raises:
        PayloadTooLarge: It becomes more than that.
        InvalidInput: It is not of this encoding, or cut short.
    """
    limit = room = limits.limit(len(body))
    parts: list[bytes] = []
    for part in _unpacked(body, encoding):
        room -= len(part)
        if room < 0:
            raise PayloadTooLarge(
                f"the body unpacks to more than {limit} bytes, expected at most {limits.bytes_max} in all, "
                f"and {limits.ratio_max} for each of the {len(body)} bytes sent",
                hint="send fewer rows in one request",
            )
        parts.append(part)
    return b"".join(parts)


def _unpacked(body: bytes, encoding: str) -> Iterator[bytes]:
    if encoding == "zstd":
        return _decompress_zstd(body)
    if encoding == "gzip":
        return _inflate(body, "gzip", GZIP_WINDOW)
    return _inflate(body, "deflate", ZLIB_WINDOW if _is_zlib(body) else RAW_WINDOW)


def _is_zlib(body: bytes) -> bool:
    """Tell zlib's format, which `deflate` means, from the bare one that some clients send under that name."""
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2]) % 31 == 0


def _inflate(body: bytes, encoding: str, window: int) -> Iterator[bytes]:
    """Yield what a body unpacks to, at most `PIECE_BYTES` at a time."""
    pieces = _Pieces(body)
    stream = zlib.decompressobj(window)
    data: bytes | memoryview = b""
    try:
        while True:
            if stream.eof:
                data = stream.unused_data or pieces.next()
                if not data:
                    return
                if encoding != "gzip":
                    raise InvalidInput("bytes are left after the end of the deflate body")
                pieces.count_member(encoding)
                stream = zlib.decompressobj(window)
            else:
                data = data or pieces.next()
            part = stream.decompress(data, PIECE_BYTES)
            if not (part or data or stream.eof):
                raise _cut_short(encoding)
            data = stream.unconsumed_tail
            yield part
    except zlib.error as error:
        raise InvalidInput(f"the body is not {encoding}: {error}") from None


def _decompress_zstd(body: bytes) -> Iterator[bytes]:
    """Yield what a body unpacks to, at most `PIECE_BYTES` at a time."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    options = {int(zstd.DecompressionParameter.window_log_max): ZSTD_WINDOW_LOG_MAX}
    pieces = _Pieces(body)
    stream = zstd.ZstdDecompressor(options=options)
    data: bytes | memoryview
    try:
        while True:
            if stream.eof:
                data = stream.unused_data or pieces.next()
                if not data:
                    return
                pieces.count_member("zstd")
                stream = zstd.ZstdDecompressor(options=options)
            elif stream.needs_input:
                data = pieces.next()
                if not data:
                    raise _cut_short("zstd")
            else:
                data = b""
            yield stream.decompress(data, PIECE_BYTES)
    except zstd.ZstdError as error:
        raise InvalidInput(f"the body is not zstd: {error}") from None


class _Pieces:
    """A body in pieces, so that what is left over after a member is never copied as a whole."""

    def __init__(self, body: bytes) -> None:
        self._view = memoryview(body)
        self._at = 0
        self._members = 1

    def next(self) -> memoryview:
        """Return the next piece, an empty one after the last."""
        at = self._at
        self._at = at + PIECE_BYTES
        return self._view[at : at + PIECE_BYTES]

    def count_member(self, encoding: str) -> None:
        """Count that one more member begins.

        Raises:
            InvalidInput: There are too many.
        """
        self._members += 1
        if self._members > MEMBERS_MAX:
            raise InvalidInput(f"the {encoding} body has more than {MEMBERS_MAX} members")


def _cut_short(encoding: str) -> InvalidInput:
    return InvalidInput(f"the {encoding} body is cut short", hint="send all of it")

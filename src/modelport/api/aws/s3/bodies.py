"""Bodies as S3 clients send them: framed in aws-chunked or not, with checksums before or behind them.

Source: Amazon S3, "Authenticating requests: using chunked upload" and "Checking object integrity".
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Protocol

from modelport.domain.errors import InvalidInput
from modelport.domain.objects import BadDigest

CHUNK_BYTES = 1 << 20
LINE_BYTES_MAX = 4_096
CHECKSUM = "x-amz-checksum-"
NOT_PLAIN = ("UNSIGNED-PAYLOAD", "STREAMING-")


class _Hasher(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> object:
        self._value = zlib.crc32(data, self._value)
        return None

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_HASHERS: dict[str, Callable[[], Any]] = {
    "crc32": _Crc32,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}
"""The checksums that are verified; crc32c and crc64nvme are kept and told, as they were sent."""


def read_body(file: IO[bytes], headers: Mapping[str, str], trailer: dict[str, str]) -> Iterator[bytes]:
    """Yield the bytes of a body, and fail at the end when they are not those that were sent.

    Args:
        file: The body as it came.
        headers: Of the request, in lower case.
        trailer: Gets what follows the body of an aws-chunked one.

    Raises:
        BadDigest: A checksum is another one.
        InvalidInput: The framing is broken, or there are fewer bytes than announced.
    """
    framed = headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    chunks = _unframe(file, trailer) if framed else iter(lambda: file.read(CHUNK_BYTES), b"")
    hashers: dict[str, _Hasher] = {name: make() for name, make in _HASHERS.items()}
    wanted = {name for name in hashers if headers.get(CHECKSUM + name) or _is_announced(headers, name)}
    signed = headers.get("x-amz-content-sha256", "")
    if signed and not signed.startswith(NOT_PLAIN):
        wanted.add("sha256")
    size = 0
    for chunk in chunks:
        size += len(chunk)
        for name in wanted:
            hashers[name].update(chunk)
        yield chunk
    announced = headers.get("x-amz-decoded-content-length")
    if framed and announced is not None and str(size) != announced:
        raise InvalidInput(f"the body has {size} bytes, x-amz-decoded-content-length says {announced[:20]}")
    given = {name: value for name, value in {**headers, **trailer}.items() if name.startswith(CHECKSUM)}
    for name in wanted:
        value = given.get(CHECKSUM + name)
        if value is not None and value != base64.b64encode(hashers[name].digest()).decode("ascii"):
            raise BadDigest(f"the bytes have another {name} than {value[:80]}")
    if "sha256" in wanted and signed and not signed.startswith(NOT_PLAIN):
        found = hashers["sha256"].digest().hex()
        if found != signed.lower():
            raise BadDigest(f"the bytes have SHA-256 {found}, x-amz-content-sha256 says {signed[:64]}")


def _is_announced(headers: Mapping[str, str], name: str) -> bool:
    return CHECKSUM + name in headers.get("x-amz-trailer", "").lower()


def _unframe(file: IO[bytes], trailer: dict[str, str]) -> Iterator[bytes]:
    """Yield the chunks of an aws-chunked body; signatures of chunks are not looked at."""
    while True:
        line = _read_line(file).partition(b";")[0]
        try:
            left = int(line, 16)
        except ValueError:
            raise InvalidInput(f"the body is not aws-chunked: found {line[:20]!r} for a size") from None
        if left < 0:
            raise InvalidInput("the body is not aws-chunked: a size is negative")
        if left == 0:
            break
        while left:
            chunk = file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise InvalidInput("the body ends within a chunk")
            left -= len(chunk)
            yield chunk
        if _read_line(file):
            raise InvalidInput("a chunk of the body is longer than its size")
    while line := _read_line(file):
        name, _, value = line.decode("latin-1").partition(":")
        trailer[name.strip().lower()] = value.strip()


def _read_line(file: IO[bytes]) -> bytes:
    return file.readline(LINE_BYTES_MAX).rstrip(b"\r\n")

"""Bodies as S3 clients send them: framed in aws-chunked or not, with checksums before or behind them.

Source: Amazon S3, "Authenticating requests: using chunked upload" and "Checking object integrity".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Protocol

from modelport.access.signatures import SIGNED_CHUNKS, STREAMING, UNSIGNED, BadSignature, ChunkSigner
from modelport.domain.errors import InvalidInput
from modelport.domain.objects import BadDigest

CHUNK_BYTES = 1 << 20
LINE_BYTES_MAX = 4_096
CHECKSUM = "x-amz-checksum-"
NOT_PLAIN = (UNSIGNED, STREAMING)
TRAILER_SIGNATURE = "x-amz-trailer-signature"


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


def _numpy_crc(bits: int, polynomial: int) -> Callable[[], _Hasher]:
    def make() -> _Hasher:
        from modelport.api.aws.s3.crc import Crc  # numpy comes with it, and most clients send none of these

        return Crc(bits, polynomial)

    return make


HASHERS: dict[str, Callable[[], _Hasher]] = {
    "crc32": _Crc32,
    "crc32c": _numpy_crc(32, 0x82F63B78),
    "crc64nvme": _numpy_crc(64, 0x9A6C9329AC4BC9B5),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}
"""All checksums that S3 has."""


def read_body(
    file: IO[bytes], headers: Mapping[str, str], trailer: dict[str, str], signer: ChunkSigner | None = None
) -> Iterator[bytes]:
    """Yield the bytes of a body, and fail at the end when they are not those that were sent.

    Args:
        file: The body as it came.
        headers: Of the request, in lower case.
        trailer: Gets what follows the body of an aws-chunked one.
        signer: Of its chunks; None: their signatures are not looked at.

    Raises:
        BadDigest: A checksum is another one.
        BadSignature: A chunk is not signed as it says.
        InvalidInput: The framing is broken, there are fewer bytes than announced, or a checksum that was to
            follow did not.
    """
    signed = headers.get("x-amz-content-sha256", "")
    framed = signed.startswith(STREAMING)
    chain = _Chain(signer if signed.startswith(SIGNED_CHUNKS) else None)
    chunks = _unframe(file, trailer, chain) if framed else iter(lambda: file.read(CHUNK_BYTES), b"")
    names = {name.strip() for name in headers.get("x-amz-trailer", "").lower().split(",")}
    promised = {name for name in HASHERS if CHECKSUM + name in names}
    hashers = {name: HASHERS[name]() for name in promised | checksums_in(headers).keys()}
    whole = hashlib.sha256() if signed and not signed.startswith(NOT_PLAIN) else None
    size = 0
    for chunk in chunks:
        size += len(chunk)
        for hasher in (*hashers.values(), *([whole] if whole else [])):
            hasher.update(chunk)
        yield chunk
    announced = headers.get("x-amz-decoded-content-length")
    if framed and announced is not None and str(size) != announced:
        raise InvalidInput(f"the body has {size} bytes, x-amz-decoded-content-length says {announced[:20]}")
    missing = promised - checksums_in(trailer).keys()
    if missing:
        raise InvalidInput(f"x-amz-trailer promises {CHECKSUM}{min(missing)}, and the body ends without it")
    for given in (headers, trailer):
        _compare(hashers, checksums_in(given))
    if whole is not None and whole.hexdigest() != signed.lower():
        raise BadDigest(
            f"the bytes have SHA-256 {whole.hexdigest()}, x-amz-content-sha256 says {signed[:64]}"
        )


def verify(chunks: Iterator[bytes], given: Mapping[str, str]) -> Iterator[bytes]:
    """Yield chunks, and fail at the end when they are not those that checksums were made of.

    Args:
        chunks: The bytes, in order.
        given: Name of a checksum to its value, from `checksums_in`.

    Raises:
        BadDigest: A checksum is another one.
    """
    hashers = {name: HASHERS[name]() for name in given}
    for chunk in chunks:
        for hasher in hashers.values():
            hasher.update(chunk)
        yield chunk
    _compare(hashers, given)


def checksums_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the checksums among headers or trailers: name of each to its value."""
    return {name: headers[CHECKSUM + name] for name in HASHERS if CHECKSUM + name in headers}


def _compare(hashers: Mapping[str, _Hasher], given: Mapping[str, str]) -> None:
    for name, value in given.items():
        if name in hashers and value != base64.b64encode(hashers[name].digest()).decode("ascii"):
            raise BadDigest(f"the bytes have another {name} than {value[:80]}")


class _Chain:
    """The signatures of a body's chunks, each made over the one before.

    Args:
        signer: Makes them; None: they are not looked at.
    """

    def __init__(self, signer: ChunkSigner | None) -> None:
        self._signer = signer
        self._previous = "" if signer is None else signer.seed
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Take bytes of a chunk."""
        if self._signer is not None:
            self._hash.update(data)

    def end_chunk(self, extension: bytes) -> None:
        """Compare a chunk with what its size line says of it.

        Raises:
            BadSignature: It is another one.
        """
        if self._signer is None:
            return
        self._check(
            self._signer.sign_chunk(self._previous, self._hash.hexdigest()),
            extension.strip().removeprefix(b"chunk-signature="),
        )
        self._hash = hashlib.sha256()

    def end_body(self, trailer: Mapping[str, str]) -> None:
        """Compare the headers that followed the chunks with their signature, where there are any.

        Raises:
            BadSignature: They are not signed as they say.
        """
        if self._signer is None:
            return
        lines = [f"{name}:{value}\n" for name, value in trailer.items() if name != TRAILER_SIGNATURE]
        if lines:
            self._check(
                self._signer.sign_trailer(self._previous, "".join(lines).encode("latin-1")),
                trailer.get(TRAILER_SIGNATURE, "").encode("latin-1"),
            )

    def _check(self, made: str, given: bytes) -> None:
        if not hmac.compare_digest(made.encode("ascii"), given):
            raise BadSignature("a chunk of the body is not signed by the key that the request names")
        self._previous = made


def _unframe(file: IO[bytes], trailer: dict[str, str], chain: _Chain) -> Iterator[bytes]:
    """Yield the chunks of an aws-chunked body."""
    while True:
        line, _, extension = _read_line(file).partition(b";")
        try:
            left = int(line, 16)
        except ValueError:
            raise InvalidInput(f"the body is not aws-chunked: found {line[:20]!r} for a size") from None
        if left < 0:
            raise InvalidInput("the body is not aws-chunked: a size is negative")
        if left == 0:
            chain.end_chunk(extension)
            break
        while left:
            chunk = file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise InvalidInput("the body ends within a chunk")
            left -= len(chunk)
            chain.update(chunk)
            yield chunk
        chain.end_chunk(extension)
        if _read_line(file):
            raise InvalidInput("a chunk of the body is longer than its size")
    while line := _read_line(file):
        name, _, value = line.decode("latin-1").partition(":")
        trailer[name.strip().lower()] = value.strip()
    chain.end_body(trailer)


def _read_line(file: IO[bytes]) -> bytes:
    return file.readline(LINE_BYTES_MAX).rstrip(b"\r\n")

"""Replies in parts, as SageMaker's runtime streams them: frames with two checksums each. Pure.

    length (4 bytes) | length of the headers (4) | CRC-32 of these (4) | headers | payload | CRC-32 of all

A header is the length of its name (1 byte), the name, 7 for text, the length of the value (2), the value.

Source: Smithy, "Amazon Event Stream Specification"; SageMaker runtime API, ResponseStream (events
`PayloadPart`, exceptions `ModelStreamError` and `InternalStreamFailure`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Literal

import msgspec

CONTENT_TYPE = "application/vnd.amazon.eventstream"

PAYLOAD_BYTES_MAX = 8 << 20
"""Of one frame; AWS's clients take 24 MiB (Python) or less."""

PRELUDE = struct.Struct(">II")
CHECKSUM = struct.Struct(">I")
TEXT = 7

ErrorCode = Literal["ModelInvocationTimeExceeded", "StreamBroken"]


def frame(headers: Iterable[tuple[str, str]], payload: bytes) -> bytes:
    """Return one frame.

    Args:
        headers: Name and value of each: ASCII, at most 255 and 65,535 bytes.
        payload: At most `PAYLOAD_BYTES_MAX` bytes.
    """
    block = b"".join([_header(name, value) for name, value in headers])
    prelude = PRELUDE.pack(
        PRELUDE.size + CHECKSUM.size + len(block) + len(payload) + CHECKSUM.size, len(block)
    )
    front = prelude + CHECKSUM.pack(zlib.crc32(prelude)) + block
    return b"".join((front, payload, CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(front)))))


def parts(content: bytes) -> bytes:
    """Return a piece of an answer as frames: one, but for one that is very large."""
    if len(content) <= PAYLOAD_BYTES_MAX:
        return frame(PART, content)
    return b"".join(
        [
            frame(PART, content[start : start + PAYLOAD_BYTES_MAX])
            for start in range(0, len(content), PAYLOAD_BYTES_MAX)
        ]
    )


def failure(message: str, code: ErrorCode) -> bytes:
    """Return the frame that ends an answer which cannot go on.

    Args:
        message: For people.
        code: For programs.
    """
    return frame(FAILURE, msgspec.json.encode({"Message": message, "ErrorCode": code}))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode("ascii"), value.encode("ascii")
    return b"%c%b%c%b%b" % (len(key), key, TEXT, len(text).to_bytes(2, "big"), text)


PART = (
    (":message-type", "event"),
    (":event-type", "PayloadPart"),
    (":content-type", "application/octet-stream"),
)
FAILURE = (
    (":message-type", "exception"),
    (":exception-type", "ModelStreamError"),
    (":content-type", "application/json"),
)

"""Protocol Buffers as bytes on the wire: enough to read and cut an ONNX file without the `onnx` package.

Format: https://protobuf.dev/programming-guides/encoding/. Lists of whole numbers, of which a forest has
millions, are decoded all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
VARINT_BYTES_MAX = 10
CONTINUES = 0x80


class Malformed(ValueError):
    """The bytes are not what they should be."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Args:
        number: Its number.
        wire: How it is written: VARINT, FIXED64, BYTES or FIXED32.
        number_value: What a VARINT holds, else 0.
        content: What BYTES and fixed fields hold.
        start: Where the field begins in the message, its tag included.
        stop: Where it ends.
    """

    number: int
    wire: int
    number_value: int
    content: memoryview
    start: int
    stop: int


def fields(message: memoryview, start: int = 0) -> Iterator[Field]:
    """Yield the fields of a message in order.

    Args:
        message: Its bytes.
        start: Where the first one begins.

    Raises:
        Malformed: A field ends after the message, or is written in a way that is not known.
    """
    position, end = start, len(message)
    while position < end:
        begin = position
        tag, position = _varint(message, position)
        wire = tag & 7
        value = 0
        if wire == VARINT:
            value, stop = _varint(message, position)
        elif wire == BYTES:
            size, position = _varint(message, position)
            stop = position + size
        elif wire in {FIXED64, FIXED32}:
            stop = position + (8 if wire == FIXED64 else 4)
        else:
            raise Malformed(f"a field is written as wire type {wire}")
        if stop > end:
            raise Malformed("a field ends after its message")
        yield Field(tag >> 3, wire, value, message[position:stop], begin, stop)
        position = stop


def read_integers(message: memoryview, number: int) -> NDArray[np.int64]:
    """Return a repeated int64 field, packed or not.

    Args:
        message: Its bytes.
        number: The field's number, below 16.

    Raises:
        Malformed: The message cannot be read.
    """
    parts: list[NDArray[np.int64]] = []
    position = 0
    tag = number << 3
    while position < len(message):
        if message[position] == tag:
            run, taken = _unpacked(message[position:], tag)
            parts.append(run)
            position += taken
            continue
        field = next(fields(message, position))
        if field.number == number and field.wire == BYTES:
            parts.append(_varints(np.frombuffer(field.content, np.uint8)))
        position = field.stop
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def write_bytes(number: int, content: bytes) -> bytes:
    """Return a field of bytes, text or another message."""
    return write_varint(number << 3 | BYTES) + write_varint(len(content)) + content


def write_number(number: int, value: int) -> bytes:
    """Return a field of a whole number, at least 0."""
    return write_varint(number << 3 | VARINT) + write_varint(value)


def write_varint(value: int) -> bytes:
    """Return a whole number, at least 0, as a varint."""
    out = bytearray()
    while value >= CONTINUES:
        out.append(value & 0x7F | CONTINUES)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 7 * VARINT_BYTES_MAX:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < CONTINUES:
            return value, position
        shift += 7
    raise Malformed("a number does not end")


def _unpacked(message: memoryview, tag: int) -> tuple[NDArray[np.int64], int]:
    """Return the values of the fields with this tag that stand one after the other, and their bytes."""
    content = np.frombuffer(message, np.uint8)
    ends = np.flatnonzero(content < CONTINUES)
    starts = np.concatenate([[0], ends[:-1] + 1])
    # tags and values take turns; the first other tag ends the run
    tags = (content[starts[::2]] == tag) & (ends[::2] == starts[::2])
    count = int(np.argmin(tags)) if not tags.all() else len(tags)
    if 2 * count > len(ends):
        raise Malformed("a number does not end")
    last = int(ends[2 * count - 1]) + 1
    return _numbers(content, starts[1 : 2 * count : 2], ends[1 : 2 * count : 2]), last


def _varints(content: NDArray[np.uint8]) -> NDArray[np.int64]:
    ends = np.flatnonzero(content < CONTINUES)
    if len(content) and (not len(ends) or ends[-1] != len(content) - 1):
        raise Malformed("a number does not end")
    return _numbers(content, np.concatenate([[0], ends[:-1] + 1])[: len(ends)], ends)


def _numbers(
    content: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    longest = int((ends - starts).max(initial=0)) + 1
    if longest > VARINT_BYTES_MAX:
        raise Malformed("a number does not end")
    values = np.zeros(len(starts), np.uint64)
    for place in range(longest):
        there = starts + place <= ends
        part = content[np.where(there, starts + place, 0)].astype(np.uint64) & np.uint64(0x7F)
        values |= np.where(there, part << np.uint64(7 * place), np.uint64(0))
    return values.view(np.int64)

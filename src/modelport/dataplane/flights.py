"""What a thread is running right now, in a mapped file that outlives the process.

A model's native code can take its process down, and then nobody is left to say which request did it. So
before each call the rows are copied into a mapped file (a memory copy, no system call), and one word marks
the call's end. Whoever finds the file of a dead process in mid-flight knows what was on board.

The owner holds a lock on its file for as long as it lives, as with metric slots.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAMED_BYTES = 4096
"""So much of a request's rows, with their length, tells it from others."""

CAPACITY = 2 << 20
SUFFIX = ".flight"
HEADER = struct.Struct("<II32s")  # in flight or not, requests, digest of the model
SIZE = 8  # bytes of the number that says how many bytes of rows a request has
LONELY = struct.Struct("<II32sQ")  # the header, and the size of the only request
GROUND, FLYING = 0, 1

_landed = struct.pack("<I", GROUND)


@dataclass(frozen=True, slots=True)
class OnBoard:
    """A request that was in flight when its process died.

    Args:
        model: Digest of the model, in hex.
        request: SHA-256 of the length and the beginning of its rows, in hex.
        alone: No other request shared its call.
    """

    model: str
    request: str
    alone: bool


class Flight:
    """The record of one thread; it runs one call at a time.

    Args:
        folder: `run/flights`.
        name: A word for the file's name: which process this is.
    """

    __slots__ = ("_map", "_path")

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}-{os.getpid()}-{os.urandom(6).hex()}{SUFFIX}"
        hidden = self._path.with_suffix(".new")  # until it is locked
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.ftruncate(descriptor, HEADER.size + CAPACITY)  # sparse
            self._map = mmap.mmap(descriptor, 0)  # keeps the file open, and so the lock
        finally:
            os.close(descriptor)
        hidden.rename(self._path)

    def take_off(self, model: bytes, sizes: Sequence[int], data: bytes | memoryview) -> None:
        """Note what is about to run.

        Args:
            model: SHA-256 of the model's manifest, 32 bytes.
            sizes: Bytes of the rows of each request.
            data: All rows, one after the other.
        """
        requests, size = len(sizes), len(data)
        if requests == 1:
            if size > NAMED_BYTES:
                data = memoryview(data)[:NAMED_BYTES]
            self._map[LONELY.size : LONELY.size + len(data)] = data
            LONELY.pack_into(self._map, 0, FLYING, 1, model, size)
            return
        if max(sizes) > NAMED_BYTES:
            data = b"".join(_names(sizes, data))
        start = HEADER.size + requests * SIZE
        stop = start + len(data)
        if stop > len(self._map):  # more requests than any call has
            requests, start, stop = 0, HEADER.size, HEADER.size
            sizes, data = (), b""
        self._map[HEADER.size : start] = struct.pack(f"<{requests}Q", *sizes)
        self._map[start:stop] = data
        HEADER.pack_into(self._map, 0, FLYING, requests, model)

    def land(self) -> None:
        """Note that the call came back, well or not."""
        self._map[: len(_landed)] = _landed

    def close(self) -> None:
        """Remove the record: this process has nothing to confess."""
        self._path.unlink(missing_ok=True)
        self._map.close()


def read_wrecks(folder: Path) -> Iterator[OnBoard]:
    """Yield what was on board of processes that died; each record is read by one reader, and removed."""
    for path in folder.glob(f"*{SUFFIX}"):
        claimed = path.with_suffix(f".{os.getpid()}")
        with suppress(FileNotFoundError), path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its owner lives
            path.rename(claimed)
            content = file.read()
            claimed.unlink()
            yield from decode(content)


def decode(content: bytes) -> list[OnBoard]:
    """Return what was in flight by a record's bytes."""
    if len(content) < HEADER.size:
        return []
    state, requests, model = HEADER.unpack_from(content)
    start = HEADER.size + requests * SIZE
    if state != FLYING or start > len(content):
        return []
    found = []
    for size in struct.unpack_from(f"<{requests}Q", content, HEADER.size):
        stop = start + min(size, NAMED_BYTES)
        if stop > len(content):
            break
        found.append(OnBoard(model.hex(), _digest(size, content[start:stop]).hex(), requests == 1))
        start = stop
    return found


def digest_of(data: bytes | memoryview) -> bytes:
    """Return the name of a request: SHA-256 of the length and the beginning of its rows."""
    return _digest(len(data), data[:NAMED_BYTES])


def _digest(size: int, beginning: bytes | memoryview) -> bytes:
    return hashlib.sha256(struct.pack("<Q", size) + beginning).digest()


def _names(sizes: Sequence[int], data: bytes | memoryview) -> Iterator[memoryview]:
    view, at = memoryview(data), 0
    for size in sizes:
        yield view[at : at + min(size, NAMED_BYTES)]
        at += size

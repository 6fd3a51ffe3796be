"""What objects and uploads stand on: their bytes, and what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from modelport.domain.objects import BadDigest, Bucket, NoSuchBucket, StoredObject
from modelport.stores.records.objects import ObjectIndex
from modelport.stores.records.transaction import Transaction

CHUNK_BYTES = 1 << 20

Condition = Callable[[StoredObject | None], None]
"""Is shown the object that is there, None when there is none, and raises when a write must not happen."""


class Artifacts(Protocol):
    """What the object store needs of the artifact store."""

    def put(self, chunks: Iterable[bytes]) -> str:
        """Store bytes and return their SHA-256."""
        ...

    def path(self, digest: str) -> Path:
        """Return the file of an artifact."""
        ...


def store_bytes(artifacts: Artifacts, chunks: Iterable[bytes], md5: str | None) -> tuple[str, int, str]:
    """Store bytes; return their SHA-256, their number and their MD5.

    Args:
        artifacts: Where.
        chunks: The bytes, in order.
        md5: In hex, as the sender computed it; None when it did not.

    Raises:
        BadDigest: The MD5 is another one; nothing is kept.
    """
    hasher = hashlib.md5(usedforsecurity=False)
    size = 0

    def watched() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            hasher.update(chunk)
            size += len(chunk)
            yield chunk
        if md5 is not None and hasher.hexdigest() != md5:
            raise BadDigest(f"the bytes have MD5 {hasher.hexdigest()}, the sender's was {md5}")

    digest = artifacts.put(watched())
    return digest, size, hasher.hexdigest()


def read_chunks(path: Path, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Yield a part of a file.

    Args:
        path: The file.
        start: Of the first byte.
        length: Number of bytes; None: to the end.
    """
    left = path.stat().st_size - start if length is None else length
    with path.open("rb") as file:
        file.seek(start)
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


def find_bucket(tx: Transaction, name: str) -> Bucket:
    """Return a bucket.

    Raises:
        NoSuchBucket: There is none of that name.
    """
    bucket = ObjectIndex(tx).bucket(name)
    if bucket is None:
        raise NoSuchBucket(f"there is no bucket {name[:80]!r}")
    return bucket


def check_condition(tx: Transaction, bucket: str, key: str, only_if: Condition | None) -> None:
    """Ask a condition about what is there; None: there is none to ask."""
    if only_if is not None:
        only_if(ObjectIndex(tx).find(bucket, key))

"""Objects in buckets: what S3 clients store and read.

Bytes are artifacts, stored whole before the index speaks of them: a process killed at any point leaves the
old object or the new one. A key is text in a table and never a path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from modelport.domain.errors import NotFound
from modelport.domain.objects import (
    PART_BYTES_MIN,
    PART_NUMBER_MAX,
    BadDigest,
    Bucket,
    BucketExists,
    BucketNotEmpty,
    InvalidPart,
    InvalidPartOrder,
    Listing,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    Part,
    PartTooSmall,
    StoredObject,
    Upload,
    check_bucket_name,
    check_key,
)
from modelport.durable import crash_point
from modelport.stores.records.objects import ObjectIndex
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction

CHUNK_BYTES = 1 << 20
PASSED_MAX = 16
"""Keys of one cut key that are read past; more of them are jumped over, which costs a query."""

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


class ObjectStore:
    """Buckets and objects.

    Args:
        records: Where the index is kept.
        artifacts: Where the bytes lie.
    """

    def __init__(self, records: Records, artifacts: Artifacts) -> None:
        self._records = records
        self._artifacts = artifacts

    # ── Buckets ─────────────────────────────────────────────────────────────────────────────────

    def create_bucket(self, name: str) -> Bucket:
        """Make a bucket.

        Raises:
            InvalidBucketName: It may not be called that.
            BucketExists: It is there already.
        """
        check_bucket_name(name)
        with self._records.transaction() as tx:
            index = ObjectIndex(tx)
            if index.bucket(name) is not None:
                raise BucketExists(f"bucket {name!r} is there already")
            bucket = Bucket(name, tx.now)
            index.add_bucket(bucket)
        return bucket

    def bucket(self, name: str) -> Bucket:
        """Return a bucket.

        Raises:
            NoSuchBucket: There is none of that name.
        """
        with self._records.reading() as tx:
            return _bucket(tx, name)

    def buckets(self) -> list[Bucket]:
        """Return all buckets, by name."""
        with self._records.reading() as tx:
            return ObjectIndex(tx).all_buckets()

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket.

        Raises:
            NoSuchBucket: There is none of that name.
            BucketNotEmpty: It holds objects.
        """
        with self._records.transaction() as tx:
            _bucket(tx, name)
            index = ObjectIndex(tx)
            if not index.is_empty(name):
                raise BucketNotEmpty(f"bucket {name!r} holds objects", hint="delete them first")
            index.remove_bucket(name)

    # ── Objects ─────────────────────────────────────────────────────────────────────────────────

    def put(
        self,
        bucket: str,
        key: str,
        chunks: Iterable[bytes],
        *,
        headers: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        md5: str | None = None,
        only_if: Condition | None = None,
    ) -> StoredObject:
        """Store an object, in the place of the one there.

        Args:
            bucket: Which.
            key: Its key.
            chunks: Its bytes, in order.
            headers: What its replies are to carry, names in lower case.
            tags: Tag to value.
            md5: In hex, as the sender computed it; None when it did not.
            only_if: Asked before the bytes are stored, and again within the transaction that puts it there.

        Raises:
            NoSuchBucket: There is no such bucket.
            KeyTooLong: The key is too long.
            BadDigest: The MD5 is another one; nothing is kept.
        """
        check_key(key)
        with self._records.reading() as tx:
            _bucket(tx, bucket)
            _check(tx, bucket, key, only_if)
        digest, size, etag = self._store(chunks, md5)
        crash_point("object.before_index")
        with self._records.transaction() as tx:
            _bucket(tx, bucket)
            _check(tx, bucket, key, only_if)
            item = StoredObject(bucket, key, digest, size, etag, tx.now, headers or {}, tags or {})
            ObjectIndex(tx).put(item)
        return item

    def get(self, bucket: str, key: str) -> StoredObject:
        """Return an object.

        Raises:
            NoSuchBucket: There is no such bucket.
            NoSuchKey: There is no such object.
        """
        with self._records.reading() as tx:
            return _object(tx, bucket, key)

    def path(self, item: StoredObject) -> Path:
        """Return the file with an object's bytes."""
        return self._artifacts.path(item.digest)

    def digest_of(self, bucket: str, key: str) -> str:
        """Return the SHA-256 of an object's bytes, which lie in the artifact store.

        Raises:
            NotFound: There is no such object.
        """
        try:
            return self.get(bucket, key).digest
        except NotFound as error:
            raise NotFound(
                f"there is no object s3://{bucket}/{key}", hint="upload it, then try again"
            ) from error

    def delete(self, bucket: str, keys: Sequence[str], *, only_if: Condition | None = None) -> None:
        """Delete objects; those that are not there are nobody's trouble.

        Args:
            bucket: Which.
            keys: Theirs.
            only_if: Asked of each; none is deleted when one must not be.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        with self._records.transaction() as tx:
            _bucket(tx, bucket)
            for key in keys:
                _check(tx, bucket, key, only_if)
                ObjectIndex(tx).remove(bucket, key)

    def copy(
        self,
        source: tuple[str, str],
        bucket: str,
        key: str,
        *,
        headers: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        source_if: Condition | None = None,
        only_if: Condition | None = None,
    ) -> StoredObject:
        """Store an object's bytes under another name as well.

        Args:
            source: Bucket and key of the object.
            bucket: Where to.
            key: Its key there.
            headers: Other headers than the source's; None keeps those.
            tags: Other tags; None keeps those.
            source_if: Asked of the source.
            only_if: Asked of what lies there.

        Raises:
            NoSuchBucket: There is no such bucket.
            NoSuchKey: There is no such object.
        """
        check_key(key)
        with self._records.transaction() as tx:
            found = _object(tx, *source)
            if source_if is not None:
                source_if(found)
            _bucket(tx, bucket)
            _check(tx, bucket, key, only_if)
            item = replace(
                found,
                bucket=bucket,
                key=key,
                modified_at=tx.now,
                headers=found.headers if headers is None else headers,
                tags=found.tags if tags is None else tags,
            )
            ObjectIndex(tx).put(item)
        return item

    def set_tags(self, bucket: str, key: str, tags: dict[str, str]) -> None:
        """Replace an object's tags.

        Raises:
            NoSuchBucket: There is no such bucket.
            NoSuchKey: There is no such object.
        """
        with self._records.transaction() as tx:
            ObjectIndex(tx).put(replace(_object(tx, bucket, key), tags=tags))

    def list_objects(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1_000
    ) -> Listing:
        """Return a page of a bucket's objects.

        Args:
            bucket: Which.
            prefix: What their keys begin with.
            delimiter: Keys that have it after the prefix are cut behind it and shown once; empty: none is.
            after: Only what comes after this key or cut key.
            limit: At most so many objects and cut keys, together; 0 gives an empty page, the last.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        shown: list[StoredObject] = []
        cuts: list[str] = []
        last = after
        with self._records.reading() as tx:
            _bucket(tx, bucket)
            index = ObjectIndex(tx)
            is_cut = after != "" and _cut(after, prefix, delimiter) == after
            found = index.scan(bucket, prefix=prefix, after=_behind(after) if is_cut else _bytes(after))
            passed = 0
            while limit > 0 and (item := next(found, None)) is not None:
                cut = _cut(item.key, prefix, delimiter)
                if cut is not None and cut == last:
                    passed += 1
                    if passed == PASSED_MAX:
                        found = index.scan(bucket, prefix=prefix, after=_behind(cut))
                    continue
                if len(shown) + len(cuts) >= limit:
                    return Listing(tuple(shown), tuple(cuts), last)
                passed = 0
                if cut is None:
                    shown.append(item)
                    last = item.key
                else:
                    cuts.append(cut)
                    last = cut
        return Listing(tuple(shown), tuple(cuts), None)

    # ── Multipart uploads ───────────────────────────────────────────────────────────────────────

    def begin_upload(
        self, bucket: str, key: str, *, headers: dict[str, str], tags: dict[str, str] | None = None
    ) -> Upload:
        """Begin to upload an object in parts.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        check_key(key)
        with self._records.transaction() as tx:
            _bucket(tx, bucket)
            upload = Upload(os.urandom(20).hex(), bucket, key, headers, tx.now, tags or {})
            ObjectIndex(tx).add_upload(upload)
        return upload

    def put_part(
        self,
        upload_id: str,
        number: int,
        chunks: Iterable[bytes],
        *,
        md5: str | None = None,
    ) -> Part:
        """Store one part; the last one of a number counts.

        Raises:
            NoSuchUpload: There is no such upload.
            InvalidPart: The number is not allowed.
            BadDigest: The MD5 is another one; nothing is kept.
        """
        if not 1 <= number <= PART_NUMBER_MAX:
            raise InvalidPart(f"part number {number} is not between 1 and {PART_NUMBER_MAX}")
        self.upload(upload_id)
        digest, size, etag = self._store(chunks, md5)
        with self._records.transaction() as tx:
            _upload(tx, upload_id)
            part = Part(number, digest, size, etag, tx.now)
            ObjectIndex(tx).put_part(upload_id, part)
        return part

    def upload(self, upload_id: str) -> Upload:
        """Return an upload.

        Raises:
            NoSuchUpload: There is no such upload.
        """
        with self._records.reading() as tx:
            return _upload(tx, upload_id)

    def uploads(self, bucket: str) -> list[Upload]:
        """Return the uploads to a bucket, by key.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        with self._records.reading() as tx:
            _bucket(tx, bucket)
            return ObjectIndex(tx).uploads_of(bucket)

    def parts(self, upload_id: str) -> list[Part]:
        """Return the parts of an upload, by number.

        Raises:
            NoSuchUpload: There is no such upload.
        """
        with self._records.reading() as tx:
            _upload(tx, upload_id)
            return ObjectIndex(tx).parts_of(upload_id)

    def complete_upload(
        self,
        upload_id: str,
        wanted: Sequence[tuple[int, str]],
        *,
        headers: dict[str, str] | None = None,
        through: Callable[[Iterator[bytes]], Iterator[bytes]] = iter,
        only_if: Condition | None = None,
    ) -> StoredObject:
        """Make the object of its parts.

        Args:
            upload_id: Which upload.
            wanted: Number and ETag of each part, numbers ascending.
            headers: What its replies are to carry besides the upload's own.
            through: Sees the bytes pass, and raises when they are not what they should be.
            only_if: Asked of what lies there.

        Raises:
            NoSuchUpload: There is no such upload.
            InvalidPartOrder: The numbers do not ascend.
            InvalidPart: A part was not uploaded, or has another ETag.
            PartTooSmall: One that is not the last has fewer bytes than allowed.
        """
        upload, known = self.upload(upload_id), {part.number: part for part in self.parts(upload_id)}
        chosen = _choose(known, wanted)
        with self._records.reading() as tx:
            _check(tx, upload.bucket, upload.key, only_if)
        paths = [self._artifacts.path(part.digest) for part in chosen]
        digest = self._artifacts.put(through(chunk for path in paths for chunk in read_chunks(path)))
        size = sum(part.size for part in chosen)
        crash_point("object.before_complete")
        with self._records.transaction() as tx:
            _upload(tx, upload_id)
            _bucket(tx, upload.bucket)
            _check(tx, upload.bucket, upload.key, only_if)
            item = StoredObject(
                upload.bucket,
                upload.key,
                digest,
                size,
                _joined_etag([part.etag for part in chosen]),
                tx.now,
                upload.headers | (headers or {}),
                upload.tags,
            )
            index = ObjectIndex(tx)
            index.put(item)
            index.remove_upload(upload_id)
        return item

    def find_completed(self, bucket: str, key: str, wanted: Sequence[tuple[int, str]]) -> StoredObject:
        """Return the object that parts were made into, for who asks again because the answer was lost.

        Args:
            bucket: Where it lies.
            key: Its key.
            wanted: Number and ETag of each part.

        Raises:
            NoSuchUpload: What lies there was not made of these parts.
        """
        with self._records.reading() as tx:
            item = ObjectIndex(tx).find(bucket, key)
        try:
            etag = _joined_etag([etag.strip('"') for _, etag in wanted])
        except ValueError:
            etag = ""
        if item is None or item.etag != etag:
            raise NoSuchUpload("there is no such upload: it may have been aborted, or completed differently")
        return item

    def abort_upload(self, upload_id: str) -> None:
        """Forget an upload and its parts.

        Raises:
            NoSuchUpload: There is no such upload.
        """
        with self._records.transaction() as tx:
            _upload(tx, upload_id)
            ObjectIndex(tx).remove_upload(upload_id)

    def _store(self, chunks: Iterable[bytes], md5: str | None) -> tuple[str, int, str]:
        """Store bytes; return their SHA-256, their number and their MD5."""
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

        digest = self._artifacts.put(watched())
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


def _choose(known: dict[int, Part], wanted: Sequence[tuple[int, str]]) -> list[Part]:
    if not wanted:
        raise InvalidPart("no part is named")
    if any(before >= after for (before, _), (after, _) in pairwise(wanted)):
        raise InvalidPartOrder("the numbers of the parts do not ascend")
    chosen = []
    for number, etag in wanted:
        part = known.get(number)
        if part is None or part.etag != etag.strip('"'):
            raise InvalidPart(f"part {number} was not uploaded with ETag {etag[:80]}")
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < PART_BYTES_MIN:
            raise PartTooSmall(
                f"part {part.number} has {part.size} bytes, expected at least {PART_BYTES_MIN}"
            )
    return chosen


def _joined_etag(etags: Sequence[str]) -> str:
    joined = hashlib.md5(b"".join(map(bytes.fromhex, etags)), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(etags)}"


def _check(tx: Transaction, bucket: str, key: str, only_if: Condition | None) -> None:
    if only_if is not None:
        only_if(ObjectIndex(tx).find(bucket, key))


def _cut(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def _behind(cut: str) -> bytes:
    """Return bytes that come after every key which begins with a cut key: no UTF-8 has 0xff."""
    return _bytes(cut) + b"\xff"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _bucket(tx: Transaction, name: str) -> Bucket:
    bucket = ObjectIndex(tx).bucket(name)
    if bucket is None:
        raise NoSuchBucket(f"there is no bucket {name[:80]!r}")
    return bucket


def _object(tx: Transaction, bucket: str, key: str) -> StoredObject:
    _bucket(tx, bucket)
    item = ObjectIndex(tx).find(bucket, key)
    if item is None:
        raise NoSuchKey(f"there is no object {key[:200]!r} in bucket {bucket!r}")
    return item


def _upload(tx: Transaction, upload_id: str) -> Upload:
    upload = ObjectIndex(tx).upload(upload_id)
    if upload is None:
        raise NoSuchUpload("there is no such upload: it may have been completed or aborted")
    return upload

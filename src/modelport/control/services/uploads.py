"""Multipart uploads: objects that come in parts, each an artifact until they are joined."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from modelport.control.services.stored import (
    Artifacts,
    Condition,
    check_condition,
    find_bucket,
    read_chunks,
    store_bytes,
)
from modelport.domain.objects import (
    PART_BYTES_MIN,
    PART_NUMBER_MAX,
    InvalidPart,
    InvalidPartOrder,
    NoSuchUpload,
    Part,
    PartTooSmall,
    StoredObject,
    Upload,
    check_key,
)
from modelport.durable import crash_point
from modelport.stores.records.objects import ObjectIndex
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction


class Uploads:
    """Uploads that are under way.

    Args:
        records: Where the index is kept.
        artifacts: Where the bytes lie.
    """

    def __init__(self, records: Records, artifacts: Artifacts) -> None:
        self._records = records
        self._artifacts = artifacts

    def begin(
        self, bucket: str, key: str, *, headers: dict[str, str], tags: dict[str, str] | None = None
    ) -> Upload:
        """Begin to upload an object in parts.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        check_key(key)
        with self._records.transaction() as tx:
            find_bucket(tx, bucket)
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
        self.get(upload_id)
        digest, size, etag = store_bytes(self._artifacts, chunks, md5)
        with self._records.transaction() as tx:
            _upload(tx, upload_id)
            part = Part(number, digest, size, etag, tx.now)
            ObjectIndex(tx).put_part(upload_id, part)
        return part

    def get(self, upload_id: str) -> Upload:
        """Return an upload.

        Raises:
            NoSuchUpload: There is no such upload.
        """
        with self._records.reading() as tx:
            return _upload(tx, upload_id)

    def of(self, bucket: str) -> list[Upload]:
        """Return the uploads to a bucket, by key.

        Raises:
            NoSuchBucket: There is no such bucket.
        """
        with self._records.reading() as tx:
            find_bucket(tx, bucket)
            return ObjectIndex(tx).uploads_of(bucket)

    def parts(self, upload_id: str) -> list[Part]:
        """Return the parts of an upload, by number.

        Raises:
            NoSuchUpload: There is no such upload.
        """
        with self._records.reading() as tx:
            _upload(tx, upload_id)
            return ObjectIndex(tx).parts_of(upload_id)

    def complete(
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
        upload, known = self.get(upload_id), {part.number: part for part in self.parts(upload_id)}
        chosen = _choose(known, wanted)
        with self._records.reading() as tx:
            check_condition(tx, upload.bucket, upload.key, only_if)
        paths = [self._artifacts.path(part.digest) for part in chosen]
        digest = self._artifacts.put(through(chunk for path in paths for chunk in read_chunks(path)))
        size = sum(part.size for part in chosen)
        crash_point("object.before_complete")
        with self._records.transaction() as tx:
            _upload(tx, upload_id)
            find_bucket(tx, upload.bucket)
            check_condition(tx, upload.bucket, upload.key, only_if)
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

    def abort(self, upload_id: str) -> None:
        """Forget an upload and its parts.

        Raises:
            NoSuchUpload: There is no such upload.
        """
        with self._records.transaction() as tx:
            _upload(tx, upload_id)
            ObjectIndex(tx).remove_upload(upload_id)


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


def _upload(tx: Transaction, upload_id: str) -> Upload:
    upload = ObjectIndex(tx).upload(upload_id)
    if upload is None:
        raise NoSuchUpload("there is no such upload: it may have been completed or aborted")
    return upload

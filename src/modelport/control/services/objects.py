"""Objects in buckets: what S3 clients store and read.

Bytes are artifacts, stored whole before the index speaks of them: a process killed at any point leaves the
old object or the new one. A key is text in a table and never a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from modelport.control.services.listing import list_keys
from modelport.control.services.stored import (
    Artifacts,
    Condition,
    check_condition,
    find_bucket,
    store_bytes,
)
from modelport.control.services.uploads import Uploads
from modelport.domain.errors import NotFound
from modelport.domain.objects import (
    Bucket,
    BucketExists,
    BucketNotEmpty,
    Listing,
    NoSuchKey,
    StoredObject,
    check_bucket_name,
    check_key,
)
from modelport.durable import crash_point
from modelport.stores.records.objects import ObjectIndex
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction


class ObjectStore:
    """Buckets and objects.

    Args:
        records: Where the index is kept.
        artifacts: Where the bytes lie.

    Attributes:
        uploads: Those under way.
    """

    def __init__(self, records: Records, artifacts: Artifacts) -> None:
        self._records = records
        self._artifacts = artifacts
        self.uploads = Uploads(records, artifacts)

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
            return find_bucket(tx, name)

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
            find_bucket(tx, name)
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
            find_bucket(tx, bucket)
            check_condition(tx, bucket, key, only_if)
        digest, size, etag = store_bytes(self._artifacts, chunks, md5)
        crash_point("object.before_index")
        with self._records.transaction() as tx:
            find_bucket(tx, bucket)
            check_condition(tx, bucket, key, only_if)
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

    def path_of(self, bucket: str, key: str) -> Path:
        """Return the file with an object's bytes.

        Raises:
            NoSuchBucket: There is no such bucket.
            NoSuchKey: There is no such object.
        """
        return self.path(self.get(bucket, key))

    def find(self, bucket: str, key: str) -> str | None:
        """Return the digest of an object, which is never on its way; see `control.buckets`.

        Raises:
            NotFound: There is no such object.
        """
        return self.digest_of(bucket, key)

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
            find_bucket(tx, bucket)
            for key in keys:
                check_condition(tx, bucket, key, only_if)
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
            find_bucket(tx, bucket)
            check_condition(tx, bucket, key, only_if)
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
        with self._records.reading() as tx:
            find_bucket(tx, bucket)
            return list_keys(
                ObjectIndex(tx), bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
            )


def _object(tx: Transaction, bucket: str, key: str) -> StoredObject:
    find_bucket(tx, bucket)
    item = ObjectIndex(tx).find(bucket, key)
    if item is None:
        raise NoSuchKey(f"there is no object {key[:200]!r} in bucket {bucket!r}")
    return item

"""The index of buckets, objects and uploads, within a transaction of the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, and_, delete, exists, insert, select

from modelport.domain.objects import Bucket, Part, StoredObject, Upload
from modelport.stores.records.rows import read_time, write_time
from modelport.stores.records.tables import buckets, objects, parts, uploads
from modelport.stores.records.transaction import Transaction

BATCH_MIN = 32
BATCH_MAX = 1_000


class ObjectIndex:
    """Reads and writes the index.

    Args:
        tx: What it belongs to, together with everything else written there.
    """

    def __init__(self, tx: Transaction) -> None:
        self._connection = tx.connection

    # ── Buckets ─────────────────────────────────────────────────────────────────────────────────

    def bucket(self, name: str) -> Bucket | None:
        """Return a bucket, None when there is none."""
        row = self._one(buckets, buckets.c.name == name)
        return None if row is None else Bucket(row["name"], read_time(row["created_at"]))

    def all_buckets(self) -> list[Bucket]:
        """Return all buckets, by name."""
        rows = self._connection.execute(select(buckets).order_by(buckets.c.name)).mappings()
        return [Bucket(row["name"], read_time(row["created_at"])) for row in rows]

    def add_bucket(self, bucket: Bucket) -> None:
        """Add a bucket that is not there."""
        self._connection.execute(
            insert(buckets).values(name=bucket.name, created_at=write_time(bucket.created_at))
        )

    def remove_bucket(self, name: str) -> None:
        """Take an empty bucket away, with the uploads to it."""
        for upload_id in self._connection.execute(
            select(uploads.c.upload_id).where(uploads.c.bucket == name)
        ).scalars():
            self.remove_upload(upload_id)
        self._connection.execute(delete(buckets).where(buckets.c.name == name))

    def is_empty(self, name: str) -> bool:
        """Return whether a bucket holds no object."""
        return not self._connection.execute(select(exists().where(objects.c.bucket == name))).scalar()

    # ── Objects ─────────────────────────────────────────────────────────────────────────────────

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, None when there is none."""
        row = self._one(objects, and_(objects.c.bucket == bucket, objects.c.key == _key(key)))
        return None if row is None else _object(row)

    def put(self, item: StoredObject) -> None:
        """Add an object, or put it in the place of the one there."""
        self.remove(item.bucket, item.key)
        self._connection.execute(
            insert(objects).values(
                bucket=item.bucket,
                key=_key(item.key),
                digest=item.digest,
                size=item.size,
                etag=item.etag,
                modified_at=write_time(item.modified_at),
                headers=_text(item.headers),
                tags=_text(item.tags),
            )
        )

    def remove(self, bucket: str, key: str) -> None:
        """Take an object away; nothing happens when there is none."""
        self._connection.execute(
            delete(objects).where(objects.c.bucket == bucket, objects.c.key == _key(key))
        )

    def scan(self, bucket: str, *, prefix: str, after: bytes) -> Iterator[StoredObject]:
        """Yield the objects with a prefix, in the order of their keys' bytes.

        Args:
            bucket: Which.
            prefix: What their keys begin with.
            after: Only those whose key's bytes are larger.
        """
        start, batch = _key(prefix), BATCH_MIN
        while True:
            query = (
                select(objects)
                .where(objects.c.bucket == bucket, objects.c.key > after, objects.c.key >= start)
                .order_by(objects.c.key)
                .limit(batch)
            )
            rows = self._connection.execute(query).mappings().all()
            for row in rows:
                if not bytes(row["key"]).startswith(start):
                    return
                yield _object(dict(row))
            if len(rows) < batch:
                return
            after = bytes(rows[-1]["key"])
            batch = min(batch * 4, BATCH_MAX)  # whoever looks past the first few wants many

    # ── Multipart uploads ───────────────────────────────────────────────────────────────────────

    def upload(self, upload_id: str) -> Upload | None:
        """Return an upload, None when there is none."""
        row = self._one(uploads, uploads.c.upload_id == upload_id)
        return None if row is None else _upload(row)

    def uploads_of(self, bucket: str) -> list[Upload]:
        """Return the uploads to a bucket, by key and age."""
        query = (
            select(uploads).where(uploads.c.bucket == bucket).order_by(uploads.c.key, uploads.c.created_at)
        )
        return [_upload(dict(row)) for row in self._connection.execute(query).mappings()]

    def add_upload(self, upload: Upload) -> None:
        """Add an upload."""
        self._connection.execute(
            insert(uploads).values(
                upload_id=upload.upload_id,
                bucket=upload.bucket,
                key=_key(upload.key),
                headers=_text(upload.headers),
                tags=_text(upload.tags),
                created_at=write_time(upload.created_at),
            )
        )

    def remove_upload(self, upload_id: str) -> None:
        """Take an upload and its parts away."""
        self._connection.execute(delete(parts).where(parts.c.upload_id == upload_id))
        self._connection.execute(delete(uploads).where(uploads.c.upload_id == upload_id))

    def put_part(self, upload_id: str, part: Part) -> None:
        """Add a part, or put it in the place of the one of its number."""
        self._connection.execute(
            delete(parts).where(parts.c.upload_id == upload_id, parts.c.number == part.number)
        )
        self._connection.execute(
            insert(parts).values(
                upload_id=upload_id,
                number=part.number,
                digest=part.digest,
                size=part.size,
                etag=part.etag,
                modified_at=write_time(part.modified_at),
            )
        )

    def parts_of(self, upload_id: str) -> list[Part]:
        """Return the parts of an upload, by number."""
        query = select(parts).where(parts.c.upload_id == upload_id).order_by(parts.c.number)
        return [
            Part(row["number"], row["digest"], row["size"], row["etag"], read_time(row["modified_at"]))
            for row in self._connection.execute(query).mappings()
        ]

    def digests(self) -> set[str]:
        """Return the digests of all bytes that objects and parts are made of."""
        return {
            digest
            for table in (objects, parts)
            for digest in self._connection.execute(select(table.c.digest).distinct()).scalars()
        }

    def _one(self, table: Table, condition: ColumnElement[bool]) -> dict[str, Any] | None:
        row = self._connection.execute(select(table).where(condition)).mappings().first()
        return None if row is None else dict(row)


def _object(row: dict[str, Any]) -> StoredObject:
    return StoredObject(
        bucket=row["bucket"],
        key=bytes(row["key"]).decode("utf-8", "surrogatepass"),
        digest=row["digest"],
        size=row["size"],
        etag=row["etag"],
        modified_at=read_time(row["modified_at"]),
        headers=_words(row["headers"]),
        tags=_words(row["tags"]),
    )


def _upload(row: dict[str, Any]) -> Upload:
    return Upload(
        upload_id=row["upload_id"],
        bucket=row["bucket"],
        key=bytes(row["key"]).decode("utf-8", "surrogatepass"),
        headers=_words(row["headers"]),
        created_at=read_time(row["created_at"]),
        tags=_words(row["tags"]),
    )


def _key(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _text(words: dict[str, str]) -> str:
    return msgspec.json.encode(words).decode()


def _words(text: str) -> dict[str, str]:
    return msgspec.json.decode(text, type=dict[str, str])

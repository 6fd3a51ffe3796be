"""Objects in buckets, as S3 has them: names, and what can be wrong with a request for one.

Source: Amazon S3 API reference; bucket naming rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from modelport.domain.errors import Conflict, InvalidInput, NotFound

KEY_BYTES_MAX = 1_024
PART_NUMBER_MAX = 10_000
PART_BYTES_MIN = 5 << 20
"""Of every part but the last."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}", re.ASCII)


class NoSuchBucket(NotFound):
    """There is no bucket of that name."""

    code: ClassVar[str] = "no_such_bucket"


class NoSuchKey(NotFound):
    """There is no object of that key."""

    code: ClassVar[str] = "no_such_key"


class NoSuchUpload(NotFound):
    """There is no multipart upload of that id."""

    code: ClassVar[str] = "no_such_upload"


class InvalidPart(InvalidInput):
    """A part to complete with was not uploaded, or is another one than was uploaded."""

    code: ClassVar[str] = "invalid_part"


class InvalidPartOrder(InvalidInput):
    """The parts to complete with do not ascend."""

    code: ClassVar[str] = "invalid_part_order"


class PartTooSmall(InvalidInput):
    """A part that is not the last has fewer bytes than allowed."""

    code: ClassVar[str] = "part_too_small"


class InvalidBucketName(InvalidInput):
    """A bucket may not be called that."""

    code: ClassVar[str] = "invalid_bucket_name"


class KeyTooLong(InvalidInput):
    """A key has more bytes than allowed."""

    code: ClassVar[str] = "key_too_long"


class BadDigest(InvalidInput):
    """The bytes are not those that the sender's checksum was made of."""

    code: ClassVar[str] = "bad_digest"


class BucketExists(Conflict):
    """The bucket is there already."""

    code: ClassVar[str] = "bucket_exists"


class BucketNotEmpty(Conflict):
    """The bucket holds objects."""

    code: ClassVar[str] = "bucket_not_empty"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket: its name, and when it was made (aware, UTC)."""

    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object.

    Args:
        bucket: Its bucket.
        key: Its key; any Unicode text, never a path.
        digest: SHA-256 of its bytes, which lie in the artifact store.
        size: In bytes.
        etag: MD5 of its bytes in hex; of one made of N parts, the MD5 of their MD5s and `-N`.
        modified_at: Aware, UTC.
        headers: What its replies carry: `content-type`, `x-amz-meta-…` and the like, in lower case.
        tags: Tag to value.
    """

    bucket: str
    key: str
    digest: str
    size: int
    etag: str
    modified_at: datetime
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way.

    Args:
        upload_id: Names it.
        bucket: Where the object will lie.
        key: Its key.
        headers: Of the object.
        created_at: Aware, UTC.
        tags: Of the object.
    """

    upload_id: str
    bucket: str
    key: str
    headers: dict[str, str]
    created_at: datetime
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload; `number` from 1."""

    number: int
    digest: str
    size: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a bucket's objects.

    Args:
        objects: In the order of their keys' bytes.
        prefixes: Keys cut after the delimiter, in the same order.
        next_after: What the next page comes after; None on the last.
    """

    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]
    next_after: str | None


def check_bucket_name(name: str) -> str:
    """Return a bucket's name if it is allowed.

    Raises:
        InvalidBucketName: It is not.
    """
    if _BUCKET.fullmatch(name) and ".." not in name and not _ADDRESS.fullmatch(name):
        return name
    raise InvalidBucketName(
        f"bucket name {name[:80]!r} is not allowed",
        hint="use 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or digit at both ends",
    )


def check_key(key: str) -> str:
    """Return an object's key if it is allowed.

    Raises:
        InvalidInput: It is empty.
        KeyTooLong: It has too many bytes.
    """
    size = len(key.encode("utf-8", "surrogatepass"))
    if size > KEY_BYTES_MAX:
        raise KeyTooLong(f"the key has {size} bytes, expected at most {KEY_BYTES_MAX}")
    if not key or "\0" in key:
        raise InvalidInput("the key is empty or has a zero byte in it")
    return key

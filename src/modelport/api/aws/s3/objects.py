"""Objects: put, get, head, delete, copy, tags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from email.utils import format_datetime
from urllib.parse import unquote

from modelport.api.aws.s3.bodies import CHECKSUM
from modelport.api.aws.s3.buckets import iso, xml
from modelport.api.aws.s3.conditions import (
    condition_of,
    condition_of_source,
    is_range_wanted,
    is_unchanged,
)
from modelport.api.aws.s3.errors import S3Error
from modelport.api.aws.s3.requests import KEPT, Reply, Request, read_range
from modelport.control.services.objects import ObjectStore
from modelport.domain.errors import InvalidInput
from modelport.domain.objects import StoredObject

DEFAULT_TYPE = "binary/octet-stream"
DIRECTIVES = ("COPY", "REPLACE")


def put(store: ObjectStore, request: Request) -> Reply:
    """PutObject."""
    # The checksums may follow the body, so the headers are gathered once it was read.
    headers = request.object_headers()
    item = store.put(
        request.bucket,
        request.key,
        _then(request, headers),
        headers=headers,
        tags=request.tags(),
        md5=request.md5(),
        only_if=condition_of(request.headers),
    )
    checksums = {name: value for name, value in item.headers.items() if name.startswith(CHECKSUM)}
    return Reply(headers={"etag": f'"{item.etag}"', **checksums})


def get(store: ObjectStore, request: Request) -> Reply:
    """GetObject."""
    return _reply(store, request, whole=True)


def head(store: ObjectStore, request: Request) -> Reply:
    """HeadObject."""
    return _reply(store, request, whole=False)


def delete(store: ObjectStore, request: Request) -> Reply:
    """DeleteObject."""
    store.delete(request.bucket, [request.key], only_if=condition_of(request.headers))
    return Reply(204)


def copy(store: ObjectStore, request: Request) -> Reply:
    """CopyObject."""
    replaced = _is_replaced(request, "x-amz-metadata-directive")
    retagged = _is_replaced(request, "x-amz-tagging-directive")
    item = store.copy(
        source_of(request),
        request.bucket,
        request.key,
        headers=request.object_headers() if replaced else None,
        tags=request.tags() or {} if retagged else None,
        source_if=condition_of_source(request.headers),
        only_if=condition_of(request.headers),
    )
    return xml("CopyObjectResult", {"LastModified": iso(item.modified_at), "ETag": f'"{item.etag}"'})


def get_tags(store: ObjectStore, request: Request) -> Reply:
    """GetObjectTagging."""
    tags = store.get(request.bucket, request.key).tags
    return xml("Tagging", {"TagSet": {"Tag": [{"Key": key, "Value": tags[key]} for key in tags]}})


def put_tags(store: ObjectStore, request: Request) -> Reply:
    """PutObjectTagging."""
    tags = {item["Key"]: item.get("Value", "") for item in request.document().items("Tag") if "Key" in item}
    store.set_tags(request.bucket, request.key, tags)
    return Reply()


def delete_tags(store: ObjectStore, request: Request) -> Reply:
    """DeleteObjectTagging."""
    store.set_tags(request.bucket, request.key, {})
    return Reply(204)


def source_of(request: Request) -> tuple[str, str]:
    """Return bucket and key that a copy is made of.

    Raises:
        InvalidInput: The header names no object.
        S3Error: It names a version of one.
    """
    text, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    if version not in ("", "null"):
        raise S3Error("NotImplemented", "modelport keeps no versions of an object", 501)
    bucket, slash, key = unquote(text).removeprefix("/").partition("/")
    if not (bucket and slash and key):
        raise InvalidInput(f"x-amz-copy-source is {text[:200]!r}, expected BUCKET/KEY")
    return bucket, key


def _then(request: Request, headers: dict[str, str]) -> Iterator[bytes]:
    yield from request.chunks()
    headers.update(request.checksums())


def _is_replaced(request: Request, name: str) -> bool:
    directive = request.headers.get(name, "COPY").upper()
    if directive not in DIRECTIVES:
        raise InvalidInput(f"{name} is {directive[:40]!r}, expected COPY or REPLACE")
    return directive == "REPLACE"


def _reply(store: ObjectStore, request: Request, *, whole: bool) -> Reply:
    item = store.get(request.bucket, request.key)
    headers = _headers(item, request)
    if is_unchanged(request.headers, item):
        return Reply(304, {"etag": headers["etag"], "last-modified": headers["last-modified"]})
    wanted = request.headers.get("range") if is_range_wanted(request.headers, item) else None
    part = read_range(wanted, item.size)
    start, length = part or (0, item.size)
    headers["content-length"] = str(length)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{item.size}"
    status = 200 if part is None else 206
    return Reply(
        status, headers, file=store.path(item) if whole and length else None, start=start, length=length
    )


def _headers(item: StoredObject, request: Request) -> dict[str, str]:
    checked = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    kept = {
        name: value
        for name, value in item.headers.items()
        if not name.startswith(CHECKSUM) or (checked and "range" not in request.headers)
    }
    overrides = {
        name: request.query[f"response-{name}"] for name in KEPT if f"response-{name}" in request.query
    }
    for name, value in overrides.items():
        if not value.isprintable():
            raise InvalidInput(f"response-{name} has a character that no header may have")
    tags = {"x-amz-tagging-count": str(len(item.tags))} if item.tags else {}
    return {
        "content-type": DEFAULT_TYPE,
        **kept,
        **overrides,
        **tags,
        "etag": f'"{item.etag}"',
        "last-modified": format_datetime(item.modified_at.astimezone(UTC), usegmt=True),
        "accept-ranges": "bytes",
    }

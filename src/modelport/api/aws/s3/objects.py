"""Objects: put, get, head, delete, copy, tags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import unquote

from modelport.api.aws.s3.bodies import CHECKSUM
from modelport.api.aws.s3.buckets import iso, xml
from modelport.api.aws.s3.errors import S3Error
from modelport.api.aws.s3.requests import KEPT, Reply, Request, read_range
from modelport.control.services.objects import ObjectStore
from modelport.domain.errors import InvalidInput, NotFound
from modelport.domain.objects import StoredObject

DEFAULT_TYPE = "binary/octet-stream"


def put(store: ObjectStore, request: Request) -> Reply:
    """PutObject."""
    if request.headers.get("if-none-match") == "*":
        _check_absent(store, request)
    # The checksums may follow the body, so the headers are gathered once it was read.
    headers = request.object_headers()
    item = store.put(
        request.bucket,
        request.key,
        _then(request, headers),
        headers=headers,
        tags=request.tags(),
        md5=request.md5(),
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
    store.delete(request.bucket, [request.key])
    return Reply(204)


def copy(store: ObjectStore, request: Request) -> Reply:
    """CopyObject."""
    replaced = request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    retagged = request.headers.get("x-amz-tagging-directive", "COPY").upper() == "REPLACE"
    item = store.copy(
        source_of(request),
        request.bucket,
        request.key,
        headers=request.object_headers() if replaced else None,
        tags=request.tags() or {} if retagged else None,
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
    """
    text = unquote(request.headers["x-amz-copy-source"]).partition("?versionId=")[0]
    bucket, slash, key = text.removeprefix("/").partition("/")
    if not (bucket and slash and key):
        raise InvalidInput(f"x-amz-copy-source is {text[:200]!r}, expected BUCKET/KEY")
    return bucket, key


def _then(request: Request, headers: dict[str, str]) -> Iterator[bytes]:
    yield from request.chunks()
    headers.update(request.checksums())


def _check_absent(store: ObjectStore, request: Request) -> None:
    try:
        store.get(request.bucket, request.key)
    except NotFound:
        return
    raise S3Error("PreconditionFailed", "the object is there already", 412)


def _reply(store: ObjectStore, request: Request, *, whole: bool) -> Reply:
    item = store.get(request.bucket, request.key)
    headers = _headers(item, request)
    if _is_unchanged(item, request):
        return Reply(304, {"etag": headers["etag"], "last-modified": headers["last-modified"]})
    part = read_range(request.headers.get("range"), item.size)
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


def _is_unchanged(item: StoredObject, request: Request) -> bool:
    """Return whether the client has what there is; fail where what there is is not what it wants.

    Source: RFC 9110 13.2.2, the order of preconditions.
    """
    headers, etag = request.headers, f'"{item.etag}"'
    modified = item.modified_at.replace(microsecond=0)
    since, unless = _time(headers.get("if-modified-since")), _time(headers.get("if-unmodified-since"))
    if "if-match" in headers:
        if headers["if-match"] not in ("*", etag, item.etag):
            raise S3Error("PreconditionFailed", "the object has another ETag", 412)
    elif unless is not None and modified > unless:
        raise S3Error("PreconditionFailed", "the object was modified since", 412)
    if "if-none-match" in headers:
        return headers["if-none-match"] in ("*", etag, item.etag)
    return since is not None and modified <= since


def _time(text: str | None) -> datetime | None:
    try:
        return None if text is None else parsedate_to_datetime(text)
    except ValueError:
        return None

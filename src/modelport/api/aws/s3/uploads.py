"""Multipart uploads."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from modelport.api.aws.s3.bodies import CHECKSUM, checksums_in, verify
from modelport.api.aws.s3.buckets import iso, spelling, xml
from modelport.api.aws.s3.conditions import condition_of, condition_of_source
from modelport.api.aws.s3.errors import S3Error
from modelport.api.aws.s3.objects import source_of
from modelport.api.aws.s3.requests import Reply, Request
from modelport.control.services.objects import ObjectStore
from modelport.control.services.stored import read_chunks
from modelport.domain.errors import InvalidInput
from modelport.domain.objects import InvalidPart, NoSuchUpload, Part, StoredObject

_SOURCE_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})", re.ASCII)


def create(store: ObjectStore, request: Request) -> Reply:
    """CreateMultipartUpload."""
    upload = store.uploads.begin(
        request.bucket, request.key, headers=request.object_headers(), tags=request.tags()
    )
    return xml(
        "InitiateMultipartUploadResult",
        {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id},
    )


def put_part(store: ObjectStore, request: Request) -> Reply:
    """UploadPart."""
    number = request.number("partNumber", 0)
    part = store.uploads.put_part(_id(store, request), number, request.chunks(), md5=request.md5())
    return Reply(headers={"etag": f'"{part.etag}"', **request.checksums()})


def copy_part(store: ObjectStore, request: Request) -> Reply:
    """UploadPartCopy."""
    upload_id = _id(store, request)
    item = store.get(*source_of(request))
    check = condition_of_source(request.headers)
    if check is not None:
        check(item)
    chunks = read_chunks(store.path(item), *_source_range(request, item))
    part = store.uploads.put_part(upload_id, request.number("partNumber", 0), chunks)
    return xml("CopyPartResult", {"LastModified": iso(part.modified_at), "ETag": f'"{part.etag}"'})


def list_parts(store: ObjectStore, request: Request) -> Reply:
    """ListParts; all of them on one page."""
    upload_id = _id(store, request)
    return xml(
        "ListPartsResult",
        {
            "Bucket": request.bucket,
            "Key": request.key,
            "UploadId": upload_id,
            "IsTruncated": False,
            "Part": [_part(part) for part in store.uploads.parts(upload_id)],
        },
    )


def list_uploads(store: ObjectStore, request: Request) -> Reply:
    """ListMultipartUploads; all of them on one page."""
    if request.query.get("delimiter"):
        raise S3Error("NotImplemented", "uploads are listed without a delimiter", 501)
    prefix = request.query.get("prefix", "")
    spell = spelling(request)
    uploads = [
        {"Key": spell(item.key), "UploadId": item.upload_id, "Initiated": iso(item.created_at)}
        for item in store.uploads.of(request.bucket)
        if item.key.startswith(prefix)
    ]
    return xml(
        "ListMultipartUploadsResult",
        {
            "Bucket": request.bucket,
            "Prefix": spell(prefix),
            "EncodingType": request.query.get("encoding-type"),
            "IsTruncated": False,
            "Upload": uploads,
        },
    )


def complete(store: ObjectStore, request: Request) -> Reply:
    """CompleteMultipartUpload."""
    # The checksums in the headers are of the object; the document has none.
    bare = {name: value for name, value in request.headers.items() if not name.startswith(CHECKSUM)}
    named = replace(request, headers=bare).document().items("Part")
    try:
        wanted = [(int(item["PartNumber"]), item["ETag"]) for item in named]
    except (KeyError, ValueError):
        raise InvalidPart("a part has no number or no ETag") from None
    item = _complete(store, request, wanted)
    return xml(
        "CompleteMultipartUploadResult",
        {
            "Location": f"/{item.bucket}/{item.key}",
            "Bucket": item.bucket,
            "Key": item.key,
            "ETag": f'"{item.etag}"',
        },
    )


def abort(store: ObjectStore, request: Request) -> Reply:
    """AbortMultipartUpload."""
    store.uploads.abort(_id(store, request))
    return Reply(204)


def _complete(store: ObjectStore, request: Request, wanted: list[tuple[int, str]]) -> StoredObject:
    # One with a hyphen was made of the parts' checksums and says nothing of the whole.
    given = {name: value for name, value in checksums_in(request.headers).items() if "-" not in value}
    try:
        return store.uploads.complete(
            _id(store, request),
            wanted,
            headers={CHECKSUM + name: value for name, value in given.items()},
            through=partial(verify, given=given),
            only_if=condition_of(request.headers),
        )
    except NoSuchUpload:
        return store.uploads.find_completed(request.bucket, request.key, wanted)


def _id(store: ObjectStore, request: Request) -> str:
    """Return the id of the upload, which must be one to this bucket and key."""
    upload = store.uploads.get(request.query.get("uploadId", ""))
    if (upload.bucket, upload.key) != (request.bucket, request.key):
        raise NoSuchUpload(f"that upload is not one to {request.key[:200]!r} in bucket {request.bucket!r}")
    return upload.upload_id


def _source_range(request: Request, item: StoredObject) -> tuple[int, int]:
    text = request.headers.get("x-amz-copy-source-range")
    if text is None:
        return 0, item.size
    match = _SOURCE_RANGE.fullmatch(text)
    if match is None or not int(match[1]) <= int(match[2]) < item.size:
        raise InvalidInput(
            f"x-amz-copy-source-range is {text[:60]!r}, expected bytes=FIRST-LAST within {item.size} bytes"
        )
    return int(match[1]), int(match[2]) - int(match[1]) + 1


def _part(part: Part) -> dict[str, object]:
    return {
        "PartNumber": part.number,
        "LastModified": iso(part.modified_at),
        "ETag": f'"{part.etag}"',
        "Size": part.size,
    }

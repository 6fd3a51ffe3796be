"""Multipart uploads."""

from __future__ import annotations

from modelport.api.aws.s3.buckets import iso, xml
from modelport.api.aws.s3.objects import source_of
from modelport.api.aws.s3.requests import Reply, Request, read_range
from modelport.control.services.objects import ObjectStore, read_chunks
from modelport.domain.objects import InvalidPart, Part


def create(store: ObjectStore, request: Request) -> Reply:
    """CreateMultipartUpload."""
    upload = store.begin_upload(
        request.bucket, request.key, headers=request.object_headers(), tags=request.tags()
    )
    return xml(
        "InitiateMultipartUploadResult",
        {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id},
    )


def put_part(store: ObjectStore, request: Request) -> Reply:
    """UploadPart."""
    part = store.put_part(_id(request), request.number("partNumber", 0), request.chunks(), md5=request.md5())
    return Reply(headers={"etag": f'"{part.etag}"', **request.checksums()})


def copy_part(store: ObjectStore, request: Request) -> Reply:
    """UploadPartCopy."""
    item = store.get(*source_of(request))
    start, length = read_range(request.headers.get("x-amz-copy-source-range"), item.size) or (0, item.size)
    chunks = read_chunks(store.path(item), start, length)
    part = store.put_part(_id(request), request.number("partNumber", 0), chunks)
    return xml("CopyPartResult", {"LastModified": iso(part.modified_at), "ETag": f'"{part.etag}"'})


def list_parts(store: ObjectStore, request: Request) -> Reply:
    """ListParts; all of them on one page."""
    return xml(
        "ListPartsResult",
        {
            "Bucket": request.bucket,
            "Key": request.key,
            "UploadId": _id(request),
            "IsTruncated": False,
            "Part": [_part(part) for part in store.parts(_id(request))],
        },
    )


def list_uploads(store: ObjectStore, request: Request) -> Reply:
    """ListMultipartUploads; all of them on one page."""
    uploads = [
        {"Key": item.key, "UploadId": item.upload_id, "Initiated": iso(item.created_at)}
        for item in store.uploads(request.bucket)
    ]
    return xml(
        "ListMultipartUploadsResult", {"Bucket": request.bucket, "IsTruncated": False, "Upload": uploads}
    )


def complete(store: ObjectStore, request: Request) -> Reply:
    """CompleteMultipartUpload."""
    try:
        wanted = [(int(item["PartNumber"]), item["ETag"]) for item in request.document().items("Part")]
    except (KeyError, ValueError):
        raise InvalidPart("a part has no number or no ETag") from None
    item = store.complete_upload(_id(request), wanted)
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
    store.abort_upload(_id(request))
    return Reply(204)


def _id(request: Request) -> str:
    return request.query.get("uploadId", "")


def _part(part: Part) -> dict[str, object]:
    return {
        "PartNumber": part.number,
        "LastModified": iso(part.modified_at),
        "ETag": f'"{part.etag}"',
        "Size": part.size,
    }

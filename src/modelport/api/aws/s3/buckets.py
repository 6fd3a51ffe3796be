"""Buckets, and the lists of what is in them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from modelport.api.aws.documents import element, render
from modelport.api.aws.s3.errors import S3Error
from modelport.api.aws.s3.requests import Reply, Request
from modelport.control.services.objects import ObjectStore
from modelport.domain.errors import InvalidInput
from modelport.domain.objects import Listing, StoredObject

OWNER = {"ID": "modelport", "DisplayName": "modelport"}
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
BUCKETS_MAX = 10_000
KEYS_MAX = 1_000
DELETED_MAX = 1_000


def list_buckets(store: ObjectStore, request: Request) -> Reply:
    """ListBuckets."""
    prefix, token = request.query.get("prefix", ""), request.query.get("continuation-token")
    after, limit = "" if token is None else _read_token(token), request.number("max-buckets", BUCKETS_MAX)
    found = [item for item in store.buckets() if item.name.startswith(prefix) and item.name > after]
    page = found[: max(limit, 1)]
    buckets = [{"Name": item.name, "CreationDate": iso(item.created_at)} for item in page]
    return xml(
        "ListAllMyBucketsResult",
        {
            "Owner": OWNER,
            "Buckets": {"Bucket": buckets},
            "ContinuationToken": _write_token(page[-1].name) if len(page) < len(found) else None,
            "Prefix": prefix or None,
        },
    )


def create(store: ObjectStore, request: Request) -> Reply:
    """CreateBucket; the region it should lie in is not looked at."""
    store.create_bucket(request.bucket)
    return Reply(headers={"location": f"/{request.bucket}"})


def head(store: ObjectStore, request: Request) -> Reply:
    """HeadBucket."""
    store.bucket(request.bucket)
    return Reply()


def delete(store: ObjectStore, request: Request) -> Reply:
    """DeleteBucket."""
    store.delete_bucket(request.bucket)
    return Reply(204)


def location(store: ObjectStore, request: Request) -> Reply:
    """GetBucketLocation; nothing stands for us-east-1."""
    store.bucket(request.bucket)
    return xml("LocationConstraint", "")


def versioning(store: ObjectStore, request: Request) -> Reply:
    """GetBucketVersioning: there are no versions."""
    store.bucket(request.bucket)
    return xml("VersioningConfiguration", {})


def list_objects(store: ObjectStore, request: Request) -> Reply:
    """ListObjects: pages by marker."""
    marker = request.query.get("marker", "")
    page = _page(store, request, marker)
    spell = spelling(request)
    return xml(
        "ListBucketResult",
        {
            **_asked(request, spell),
            "Marker": spell(marker),
            "NextMarker": None if page.next_after is None else spell(page.next_after),
            "IsTruncated": page.next_after is not None,
            **_found(page, spell, owner=True),
        },
    )


def list_objects_v2(store: ObjectStore, request: Request) -> Reply:
    """ListObjectsV2: pages by continuation token."""
    token, start = request.query.get("continuation-token"), request.query.get("start-after", "")
    page = _page(store, request, start if token is None else _read_token(token))
    spell = spelling(request)
    return xml(
        "ListBucketResult",
        {
            **_asked(request, spell),
            "KeyCount": len(page.objects) + len(page.prefixes),
            "ContinuationToken": token,
            "NextContinuationToken": None if page.next_after is None else _write_token(page.next_after),
            "StartAfter": spell(start) or None,
            "IsTruncated": page.next_after is not None,
            **_found(page, spell, owner=request.query.get("fetch-owner") == "true"),
        },
    )


def delete_objects(store: ObjectStore, request: Request) -> Reply:
    """DeleteObjects."""
    document = request.document()
    named = document.items("Object")
    conditions = {name for item in named for name in item} - {"Key", "VersionId"}
    versions = {item.get("VersionId", "null") for item in named} - {"null", ""}
    if conditions or versions:
        raise S3Error("NotImplemented", "objects are deleted by their keys alone, without versions", 501)
    keys = [item["Key"] for item in named if "Key" in item]
    if len(keys) > DELETED_MAX:
        raise InvalidInput(f"{len(keys)} keys are to be deleted, expected at most {DELETED_MAX}")
    store.delete(request.bucket, keys)
    quiet = (document.text("Quiet") or "").lower() == "true"
    return xml("DeleteResult", {"Deleted": [] if quiet else [{"Key": key} for key in keys]})


def xml(root: str, content: Any, status: int = 200) -> Reply:
    """Return a reply with a document."""
    return Reply(
        status, {"content-type": "application/xml"}, render(element(root, content, namespace=NAMESPACE))
    )


def iso(moment: datetime) -> str:
    """Return a time as S3 writes it in XML."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _page(store: ObjectStore, request: Request, after: str) -> Listing:
    limit = min(request.number("max-keys", KEYS_MAX), KEYS_MAX)
    return store.list_objects(
        request.bucket,
        prefix=request.query.get("prefix", ""),
        delimiter=request.query.get("delimiter", ""),
        after=after,
        limit=limit,
    )


def _asked(request: Request, spell: Callable[[str], str]) -> dict[str, Any]:
    query = request.query
    return {
        "Name": request.bucket,
        "Prefix": spell(query.get("prefix", "")),
        "Delimiter": spell(query["delimiter"]) if query.get("delimiter") else None,
        "MaxKeys": min(request.number("max-keys", KEYS_MAX), KEYS_MAX),
        "EncodingType": query.get("encoding-type"),
    }


def _found(page: Listing, spell: Callable[[str], str], *, owner: bool) -> dict[str, Any]:
    return {
        "Contents": [_content(item, spell, owner=owner) for item in page.objects],
        "CommonPrefixes": [{"Prefix": spell(prefix)} for prefix in page.prefixes],
    }


def _content(item: StoredObject, spell: Callable[[str], str], *, owner: bool) -> dict[str, Any]:
    return {
        "Key": spell(item.key),
        "LastModified": iso(item.modified_at),
        "ETag": f'"{item.etag}"',
        "Size": item.size,
        "StorageClass": "STANDARD",
        "Owner": OWNER if owner else None,
    }


def spelling(request: Request) -> Callable[[str], str]:
    """Return how keys are written into a reply: as they are, or percent-encoded where that was asked for.

    Raises:
        InvalidInput: Something else was asked for.
    """
    kind = request.query.get("encoding-type")
    if kind not in (None, "url"):
        raise InvalidInput(f"encoding-type is {kind[:40]!r}, expected url")
    return quote if kind else str


def _write_token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode("utf-8", "surrogatepass")).decode("ascii")


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        raise InvalidInput("the continuation token is not one that this list gave") from None

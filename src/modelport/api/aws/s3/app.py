"""S3's ASGI application: spools the body, finds the operation, streams the reply."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import IO

import structlog
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from modelport.access.hosts import SAFE_METHODS
from modelport.access.principals import Callers
from modelport.access.scopes import Scope as Permission
from modelport.access.signatures import ChunkSigner, SignedRequest
from modelport.api.aws.documents import MalformedXml
from modelport.api.aws.s3 import buckets, objects, uploads
from modelport.api.aws.s3.errors import S3Error, s3_error
from modelport.api.aws.s3.requests import Reply, Request, read_request
from modelport.api.receiving import read_pieces
from modelport.control.services.objects import ObjectStore
from modelport.control.services.stored import read_chunks
from modelport.domain.errors import ModelportError, PayloadTooLarge
from modelport.settings import Settings

SPOOLED_BYTES = 1 << 20
"""A larger body waits in a file until it is complete."""

Operation = Callable[[ObjectStore, Request], Reply]

_BUCKET: dict[tuple[str, str], Operation] = {
    ("GET", "location"): buckets.location,
    ("GET", "versioning"): buckets.versioning,
    ("GET", "uploads"): uploads.list_uploads,
    ("POST", "delete"): buckets.delete_objects,
}
_OBJECT: dict[tuple[str, str], Operation] = {
    ("GET", "tagging"): objects.get_tags,
    ("PUT", "tagging"): objects.put_tags,
    ("DELETE", "tagging"): objects.delete_tags,
    ("POST", "uploads"): uploads.create,
    ("GET", "uploadId"): uploads.list_parts,
    ("POST", "uploadId"): uploads.complete,
    ("DELETE", "uploadId"): uploads.abort,
    ("PUT", "uploadId"): uploads.put_part,
}
"""Method and the parameter of the query that says what of a bucket or an object is meant."""

_PLAIN_BUCKET: dict[str, Operation] = {
    "GET": buckets.list_objects,
    "PUT": buckets.create,
    "HEAD": buckets.head,
    "DELETE": buckets.delete,
}
_PLAIN_OBJECT: dict[str, Operation] = {
    "GET": objects.get,
    "PUT": objects.put,
    "HEAD": objects.head,
    "DELETE": objects.delete,
}
OPERATIONS = (
    buckets.list_buckets,
    *_PLAIN_BUCKET.values(),
    buckets.list_objects_v2,
    *_BUCKET.values(),
    *_PLAIN_OBJECT.values(),
    objects.copy,
    *_OBJECT.values(),
    uploads.copy_part,
)
"""All of them, for the reference page."""

MEANINGS = frozenset(
    {
        *("abac", "accelerate", "acl", "analytics", "annotation", "attributes", "cors", "delete"),
        *("encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location", "logging"),
        *("metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable"),
        *("metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock"),
        *("ownershipControls", "partNumber", "policy", "policyStatus", "publicAccessBlock", "renameObject"),
        *("replication", "requestPayment", "restore", "retention", "select", "session", "tagging", "torrent"),
        *("uploadId", "uploads", "versionId", "versioning", "versions", "website"),
    }
)
"""What a parameter of the query can make of a request. One that is not offered must not pass for the plain
request of its method: to delete a bucket's tags is not to delete the bucket."""

REFUSED_HEADERS = (
    "x-amz-server-side-encryption-customer-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-object-lock-",
    "x-amz-write-offset-bytes",
)
"""What they begin with that would promise something we do not keep."""

_log = structlog.get_logger("modelport.s3")


class S3:
    """ASGI application of the object store.

    Args:
        store: What it stands on.
        settings: Limits, and the folder where large bodies wait until they are complete: on the disk that
            they will lie on.
        callers: Who may ask.
    """

    def __init__(self, store: ObjectStore, settings: Settings, callers: Callers) -> None:
        self._store = store
        self._callers = callers
        self._bytes_max = settings.artifact_bytes_max
        self._pause_s = settings.body_timeout_s
        self._spool = settings.layout.artifacts / "incoming"
        self._spool.mkdir(parents=True, exist_ok=True)

    async def answer(self, signed: SignedRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of ASGI.

        Args:
            signed: The same, as its signature sees it.
            scope: ASGI's.
            receive: ASGI's.
            send: ASGI's.
        """
        request_id = uuid.uuid4().hex.upper()[:16]
        resource = scope["raw_path"].decode("latin-1")
        with tempfile.SpooledTemporaryFile(SPOOLED_BYTES, dir=str(self._spool)) as body:
            try:
                principal, signer = self._callers.by_signature(signed)
                principal.require(
                    Permission.OBJECTS_READ if scope["method"] in SAFE_METHODS else Permission.OBJECTS_WRITE
                )
                pieces = read_pieces(HttpRequest(scope, receive), self._bytes_max, self._pause_s)
                await _spool(pieces, body)
                reply = await run_in_threadpool(self._answer, scope, body, signer)
            except ClientDisconnect:
                return
            except (ModelportError, S3Error) as problem:
                error = s3_error(problem) if isinstance(problem, ModelportError) else problem
                ends = isinstance(problem, PayloadTooLarge) and b"expect" in dict(scope["headers"])
                reply = Reply(
                    error.status,
                    # A body that was announced and not asked for may come or not: nothing can follow it.
                    {"content-type": "application/xml"} | ({"connection": "close"} if ends else {}),
                    error.body(resource, request_id),
                )
        await _send(send, reply, request_id, head=scope["method"] == "HEAD")

    def _answer(self, scope: Scope, body: IO[bytes], signer: ChunkSigner | None) -> Reply:
        request = read_request(
            scope["method"], scope["raw_path"], scope.get("query_string", b""), scope["headers"], body
        )
        request = replace(request, signer=signer)
        try:
            with body:  # a large file takes its time to go, so here and not on the loop
                return find_operation(request)(self._store, request)
        except (ModelportError, S3Error):
            raise
        except MalformedXml as error:
            raise S3Error("MalformedXML", str(error)) from error
        except Exception as error:
            _log.exception("s3.failed", method=request.method)
            raise S3Error(
                "InternalError", "the server made a mistake; its log has the details", 500
            ) from error


def find_operation(request: Request) -> Operation:
    """Return what a request asks to be done.

    Raises:
        S3Error: There is no such operation here.
    """
    _check_promises(request)
    query, method = request.query, request.method
    if not request.bucket:
        if method == "GET":
            return buckets.list_buckets
        raise _no_such(method)
    copied = bool(request.key) and method == "PUT" and "x-amz-copy-source" in request.headers
    special, plain = (_OBJECT, _PLAIN_OBJECT) if request.key else (_BUCKET, _PLAIN_BUCKET)
    for (of, parameter), operation in special.items():
        if of == method and parameter in query:
            return uploads.copy_part if copied and operation is uploads.put_part else operation
    missing = MEANINGS & query.keys()
    if missing:
        raise S3Error("NotImplemented", f"modelport does not offer {method} ?{min(missing)} here", 501)
    if copied:
        return objects.copy
    if not request.key and method == "GET" and query.get("list-type") == "2":
        return buckets.list_objects_v2
    if method not in plain:
        raise _no_such(method)
    return plain[method]


def _check_promises(request: Request) -> None:
    refused = [name for name in request.headers if name.startswith(REFUSED_HEADERS)]
    if refused:
        raise S3Error("NotImplemented", f"modelport does not offer what {min(refused)} asks for", 501)
    if "versionId" in request.query:
        raise S3Error("NotImplemented", "modelport keeps no versions of an object", 501)


def _no_such(method: str) -> S3Error:
    return S3Error("MethodNotAllowed", f"{method[:20]} is not allowed here", 405)


async def _spool(pieces: AsyncIterator[bytes], body: IO[bytes]) -> None:
    size = 0
    held = bytearray()
    async for piece in pieces:
        held += piece
        size += len(piece)
        if len(held) > SPOOLED_BYTES:
            # To the disk, which may keep a thread waiting but not the loop.
            await run_in_threadpool(body.write, bytes(held))
            held.clear()
    if size > SPOOLED_BYTES:
        await run_in_threadpool(body.write, bytes(held))
    else:
        body.write(held)
    body.seek(0)


async def _send(send: Send, reply: Reply, request_id: str, *, head: bool) -> None:
    headers = {"content-length": str(len(reply.body)), "x-amz-request-id": request_id, **reply.headers}
    if reply.status in (204, 304):
        headers.pop("content-length")
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.encode("latin-1"), _latin(value)) for name, value in headers.items()],
        }
    )
    if reply.file is not None and not head:
        async for chunk in iterate_in_threadpool(read_chunks(reply.file, reply.start, reply.length)):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": b"" if head else reply.body})


def _latin(value: str) -> bytes:
    return value.encode("latin-1", "replace")

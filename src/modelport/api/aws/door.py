"""Which AWS service a request is meant for, who asks, and the reply.

Source: AWS JSON 1.1 protocol: `POST /`, `X-Amz-Target: PREFIX.Operation`; an error is 400 with `__type`.
SageMaker Metrics speaks REST-JSON: method and path tell the operation, `x-amzn-errortype` the error.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import ASGIApp, Receive, Scope, Send

from modelport.access.credentials import Credential
from modelport.access.principals import Principal
from modelport.access.signatures import SignedRequest, read_signed
from modelport.api.aws.async_runtime import AsyncRuntime
from modelport.api.aws.calls import Call, Service
from modelport.api.aws.errors import AwsError, aws_error
from modelport.api.aws.query import QUERY_SERVICES, answer_query, query_error, read_form
from modelport.api.aws.s3.app import S3
from modelport.api.aws.shapes import Table, load_table
from modelport.api.aws.shaping import shape_output
from modelport.api.aws.validation import validate
from modelport.api.platform import Platform
from modelport.api.receiving import read_pieces
from modelport.domain.errors import ModelportError
from modelport.settings import Settings

UNKNOWN_OPERATION = "UnknownOperationException"
RUNTIME_PATH = "/endpoints/"
ASYNC_PATH = "/async-invocations"
S3_SERVICE = "s3"
SAGEMAKER_SERVICE = "sagemaker"
FORM = "application/x-www-form-urlencoded"
JSON = b"application/x-amz-json-%b"
REST_JSON = b"application/json"
QUERY_MODE = "x-amzn-query-mode"
XML = b"text/xml"
_log = structlog.get_logger("modelport.aws")


class AwsDoor:
    """ASGI middleware: answers what AWS clients send, and lets everything else pass.

    Args:
        app: Everything else.
        platform: What operations stand on.
        services: Those offered, by their name in a credential scope.
        metrics: Told by its paths: it shares its name in a credential scope with SageMaker.
        runtime: Answers predictions.
        s3: Answers for buckets and objects.
    """

    def __init__(
        self,
        app: ASGIApp,
        platform: Platform,
        services: Mapping[str, Service],
        *,
        metrics: Service,
        runtime: ASGIApp,
        s3: S3,
    ) -> None:
        self._app = app
        self._platform = platform
        self._services = services
        self._metrics = metrics
        self._metrics_paths = {
            request.partition(" ")[2] for request in load_table(metrics.name).requests.values()
        }
        self._runtime = runtime
        self._async_runtime = AsyncRuntime(platform)
        self._s3 = s3

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        signed = read_signed(
            scope["method"], scope["raw_path"], scope.get("query_string", b""), scope["headers"]
        )
        if signed is not None and signed.credential.service == S3_SERVICE:
            await self._s3.answer(signed, scope, receive, send)
        elif scope["path"].startswith(RUNTIME_PATH) and scope["path"].endswith(ASYNC_PATH):
            await self._async_runtime.answer(signed, scope, receive, send)
        elif scope["path"].startswith(RUNTIME_PATH):
            await self._runtime(scope, receive, send)
        elif signed is None:
            await self._app(scope, receive, send)
        else:
            await self._answer(signed, HttpRequest(scope, receive), send)

    async def _answer(self, signed: SignedRequest, request: HttpRequest, send: Send) -> None:
        request_id, credential = str(uuid.uuid4()), signed.credential
        headers, settings = dict(request.headers), self._platform.settings
        path = request.scope["path"]
        by_path = credential.service == SAGEMAKER_SERVICE and path in self._metrics_paths
        in_xml = FORM in headers.get("content-type", "") and not by_path
        kind = XML if in_xml else REST_JSON if by_path else JSON % b"1.1"
        status, told = 200, {}
        try:
            self._platform.callers.claimed(signed)
            pieces = read_pieces(request, settings.body_bytes_max, settings.body_timeout_s)
            body = b"".join([piece async for piece in pieces])
            principal, _ = self._platform.callers.by_signature(signed, hashlib.sha256(body).hexdigest())
            body = _unpacked(body, headers.get("content-encoding"), settings)
            if credential.service in QUERY_SERVICES:
                reply = answer_query(credential.service, read_form(body), principal, request_id)
            elif by_path:
                name = _operation_at(load_table(self._metrics.name), request.method, path)
                reply = await run_in_threadpool(
                    self._perform, self._metrics, name, body, credential, principal
                )
            else:
                service = self._service(credential.service)
                table = load_table(service.name)
                kind = JSON % table.json_version.encode("ascii")
                name = _operation(table, headers.get("x-amz-target", ""))
                reply = await run_in_threadpool(self._perform, service, name, body, credential, principal)
        except ClientDisconnect:
            return
        except (ModelportError, AwsError) as problem:
            error = aws_error(problem) if isinstance(problem, ModelportError) else problem
            status = error.status
            reply = query_error(error, request_id) if in_xml else _error_document(error, by_path=by_path)
            if by_path:
                told = {b"x-amzn-errortype": error.code.encode("ascii", "replace")}
            elif QUERY_MODE in headers:  # its clients know errors by the codes of the query protocol
                told = {b"x-amzn-query-error": f"{error.code};Sender".encode("ascii", "replace")}
        await _send_reply(send, status, {b"content-type": kind, **told}, reply, request_id)

    def _service(self, name: str) -> Service:
        service = self._services.get(name)
        if service is None:
            raise AwsError(
                UNKNOWN_OPERATION,
                f"modelport does not offer the service {name!r}; "
                f"it offers: {', '.join(sorted([*self._services, *QUERY_SERVICES, S3_SERVICE]))}",
            )
        return service

    def _perform(
        self,
        service: Service,
        name: str,
        body: bytes,
        credential: Credential,
        principal: Principal,
    ) -> bytes:
        """Do what a request asks for; return the body of its answer."""
        table = load_table(service.name)
        signature = table.operations[name]
        try:
            scope, operation = service.operations[name]
            principal.require(scope)
            parameters = (
                {}
                if signature.input is None
                else validate(table, signature.input, _decode(body), service.violation)
            )
            call = Call(name, parameters, credential.region, principal, self._platform)
            return msgspec.json.encode(shape_output(table, signature.output, operation(call)))
        except (ModelportError, AwsError):
            raise
        except Exception as error:
            _log.exception("aws.failed", operation=name)
            raise AwsError(
                "InternalFailure", "the server made a mistake; its log has the details", 500
            ) from error


def _unpacked(body: bytes, encoding: str | None, settings: Settings) -> bytes:
    """Return a body as it was before its client packed it: SDKs do that with large PutMetricData requests."""
    if encoding is None:
        return body
    from modelport.runtime.codecs.packing import Unpacking, parse_content_encoding, unpack  # few requests

    name = parse_content_encoding(encoding)
    limits = Unpacking(settings.body_bytes_max, settings.unpacked_ratio_max)
    return body if name is None else unpack(body, name, limits)


def _operation(table: Table, target: str) -> str:
    prefix, _, name = target.rpartition(".")
    if prefix == table.target_prefix and name in table.operations:
        return name
    if prefix == table.target_prefix and name in table.others:
        raise AwsError(
            UNKNOWN_OPERATION, f"modelport does not offer {name}; docs/reference/aws.md lists what it offers"
        )
    raise AwsError(UNKNOWN_OPERATION, f"there is no operation {target[:80]!r}")


def _operation_at(table: Table, method: str, path: str) -> str:
    asked = f"{method} {path}"
    for name, request in table.requests.items():
        if request == asked:
            return name
    known = ", ".join(table.requests.values())
    raise AwsError(UNKNOWN_OPERATION, f"there is no operation {asked!r}, expected one of: {known}", 404)


def _error_document(error: AwsError, *, by_path: bool) -> bytes:
    if by_path:
        return msgspec.json.encode({"message": error.message})
    return msgspec.json.encode({"__type": error.code, "message": error.message})


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AwsError("SerializationException", f"the body is not JSON: {error}") from error


async def _send_reply(
    send: Send, status: int, headers: Mapping[bytes, bytes], body: bytes, request_id: str
) -> None:
    every = {
        **headers,
        b"content-length": str(len(body)).encode("ascii"),
        b"x-amzn-requestid": request_id.encode("ascii"),
    }
    await send({"type": "http.response.start", "status": status, "headers": list(every.items())})
    await send({"type": "http.response.body", "body": body})

"""Which AWS service a request is meant for, who asks, and the reply, in the protocol the request came in."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import ASGIApp, Receive, Scope, Send

from modelport.access.signatures import SignedRequest, read_signed
from modelport.api.aws.async_runtime import AsyncRuntime
from modelport.api.aws.calls import Service
from modelport.api.aws.errors import AwsError, aws_error
from modelport.api.aws.protocols import UNKNOWN_OPERATION, Asked, JsonByPath, JsonByTarget, Spoken
from modelport.api.aws.query import QUERY_SERVICES, Query
from modelport.api.aws.s3.app import S3
from modelport.api.platform import Platform
from modelport.api.receiving import read_pieces
from modelport.domain.errors import ModelportError
from modelport.settings import Settings

RUNTIME_PATH = "/endpoints/"
ASYNC_PATH = "/async-invocations"
S3_SERVICE = "s3"
SAGEMAKER_SERVICE = "sagemaker"
FORM = "application/x-www-form-urlencoded"


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
        self._by_target = {name: JsonByTarget(service, platform) for name, service in services.items()}
        self._metrics = JsonByPath(metrics, platform)
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
        request_id, status = str(uuid.uuid4()), 200
        headers: dict[bytes, bytes] = {}
        spoken = self._spoken_in(signed.credential.service, request)
        try:
            asked = await self._read(signed, request, request_id)
            self._check_offered(signed.credential.service)
            reply = await run_in_threadpool(spoken.answer, asked)
        except ClientDisconnect:
            return
        except (ModelportError, AwsError) as problem:
            error = aws_error(problem) if isinstance(problem, ModelportError) else problem
            status = error.status
            headers, reply = spoken.tell(error, request.headers, request_id)
        await _send_reply(send, status, {b"content-type": spoken.content_type} | headers, reply, request_id)

    def _spoken_in(self, service: str, request: HttpRequest) -> Spoken:
        """Return the protocol a request is written in."""
        if service == SAGEMAKER_SERVICE and request.scope["path"] in self._metrics.paths:
            return self._metrics
        if service in QUERY_SERVICES or FORM in request.headers.get("content-type", ""):
            return Query(service)
        # A service that is not offered is refused in the words of one that is.
        return self._by_target.get(service) or self._by_target[SAGEMAKER_SERVICE]

    async def _read(self, signed: SignedRequest, request: HttpRequest, request_id: str) -> Asked:
        """Return what is asked.

        Raises:
            ModelportError: Who asks is not known, or the body is not what it should be.
        """
        callers, settings = self._platform.callers, self._platform.settings
        callers.claimed(signed)
        pieces = read_pieces(request, settings.body_bytes_max, settings.body_timeout_s)
        body = b"".join([piece async for piece in pieces])
        principal, _ = callers.by_signature(signed, hashlib.sha256(body).hexdigest())
        return Asked(
            request_id,
            request.method,
            request.scope["path"],
            request.headers,
            _unpacked(body, request.headers.get("content-encoding"), settings),
            signed.credential.region,
            principal,
        )

    def _check_offered(self, service: str) -> None:
        offered = {*self._by_target, *QUERY_SERVICES}
        if service not in offered:
            raise AwsError(
                UNKNOWN_OPERATION,
                f"modelport does not offer the service {service!r}; "
                f"it offers: {', '.join(sorted({*offered, S3_SERVICE}))}",
            )


def _unpacked(body: bytes, encoding: str | None, settings: Settings) -> bytes:
    """Return a body as it was before its client packed it: SDKs do that with large PutMetricData requests."""
    if encoding is None:
        return body
    from modelport.runtime.codecs.packing import Unpacking, parse_content_encoding, unpack  # few requests

    name = parse_content_encoding(encoding)
    limits = Unpacking(settings.body_bytes_max, settings.unpacked_ratio_max)
    return body if name is None else unpack(body, name, limits)


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

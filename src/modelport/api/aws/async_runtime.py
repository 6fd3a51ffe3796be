"""InvokeEndpointAsync: taken in here, answered into a bucket.

Source: SageMaker runtime API, InvokeEndpointAsync: 202 with the request's name, its places in headers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from urllib.parse import unquote

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from modelport.access import scopes
from modelport.access.principals import Principal
from modelport.access.signatures import BadSignature, SignedRequest, UnknownKey
from modelport.api.aws.errors import spell
from modelport.api.platform import Platform
from modelport.api.receiving import read_pieces
from modelport.control.services.invocations import TIMEOUT_S, TTL_S, Wish
from modelport.domain import errors
from modelport.domain.errors import InvalidInput, ModelportError
from modelport.domain.invocations import Invocation

PATH = re.compile(r"/endpoints/([^/]{1,200})/async-invocations")
BODY_BYTES_MAX = 128_000
TEXT_LENGTH_MAX = 1_024
PREFIX = "x-amzn-sagemaker-"
SENT_ON = ("custom-attributes", "inference-id")
FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "inference-id": (re.compile(r"[\x21-\x7e]{1,64}"), "1 to 64 printable ASCII characters without a space"),
    "filename": (
        re.compile(r"(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9._-]{0,31}"),
        "at most 32 letters, digits, hyphens and underscores, and one dot",
    ),
    "s3outputpathextension": (
        re.compile(r"(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]{1,512}"),
        "at most 512 letters, digits and !_.*'()/-",
    ),
}
CODES: dict[type[ModelportError], tuple[str, int]] = {
    errors.Unauthenticated: ("AccessDeniedException", 401),
    UnknownKey: ("UnrecognizedClientException", 403),
    BadSignature: ("InvalidSignatureException", 403),
    errors.Forbidden: ("AccessDeniedException", 403),
    errors.Unavailable: ("ServiceUnavailable", 503),
    errors.ModelportError: ("ValidationError", 400),
}
_log = structlog.get_logger("modelport.aws")


class AsyncRuntime:
    """Takes asynchronous requests in.

    Args:
        platform: What they are kept by.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def answer(self, signed: SignedRequest | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of ASGI.

        Args:
            signed: Its signature, if it has one.
            scope: Of ASGI.
            receive: Likewise.
            send: Likewise.
        """
        settings, request = self._platform.settings, Request(scope, receive)
        try:
            pieces = read_pieces(request, BODY_BYTES_MAX, settings.body_timeout_s)
            body = b"".join([piece async for piece in pieces])
            principal = self._caller(signed, request, body)
            wish = read_wish(request.method, request.url.path, dict(request.headers), body)
            submit = partial(self._platform.invocations.submit, wish, principal=principal.name)
            await _send(send, 202, *_taken(await run_in_threadpool(submit)))
        except ClientDisconnect:
            return
        except ModelportError as error:
            code, message, status = spell(error, CODES)
            await _send(send, status, {"Message": message}, {"x-amzn-errortype": code})
        except Exception:  # noqa: BLE001 - as in the door
            _log.exception("aws.failed", operation="InvokeEndpointAsync")
            told = {"Message": "the server made a mistake; its log has the details"}
            await _send(send, 500, told, {"x-amzn-errortype": "InternalFailure"})

    def _caller(self, signed: SignedRequest | None, request: Request, body: bytes) -> Principal:
        callers = self._platform.callers
        if signed is None:
            principal = callers.by_token(request.headers.get("authorization"))
        else:
            principal, _ = callers.by_signature(signed, hashlib.sha256(body).hexdigest())
        principal.require(scopes.Scope.ENDPOINTS_INVOKE)
        return principal


def read_wish(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Wish:
    """Return what a request asks for.

    Args:
        method: Of HTTP.
        path: Unquoted or not.
        headers: Names in lower case.
        body: Empty where the request names an object.

    Raises:
        InvalidInput: It is none, or one of its headers cannot be understood.
    """
    match = PATH.fullmatch(unquote(path))
    if method != "POST" or match is None:
        raise InvalidInput(
            f"found {method[:20]} {path[:200]!r}, expected POST /endpoints/NAME/async-invocations"
        )
    said = {name.removeprefix(PREFIX): value for name, value in headers.items() if name.startswith(PREFIX)}
    for name, value in said.items():
        form, meaning = FORMS.get(name, (None, ""))
        if form is not None and not form.fullmatch(value):
            raise InvalidInput(f"{PREFIX}{name} is {value[:80]!r}, expected {meaning}")
        if len(value) > TEXT_LENGTH_MAX:
            raise InvalidInput(f"{PREFIX}{name} has {len(value)} characters, at most {TEXT_LENGTH_MAX}")
    sent = {"content-type": said.get("content-type"), "accept": said.get("accept")}
    sent |= {PREFIX + name: said.get(name) for name in SENT_ON}
    return Wish(
        endpoint=match[1],
        input_location=said.get("inputlocation"),
        body=body or None,
        inference_id=said.get("inference-id"),
        ttl_s=_seconds(said, "requestttlseconds", TTL_S, least=60, most=21_600),
        timeout_s=_seconds(said, "invocationtimeoutseconds", TIMEOUT_S, least=1, most=3_600),
        filename=said.get("filename"),
        path_extension=said.get("s3outputpathextension", ""),
        headers={name: value for name, value in sent.items() if value is not None},
    )


def _seconds(said: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    text = said.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InvalidInput(f"{PREFIX}{name} is {text[:40]!r}, expected {least} to {most} seconds")
    return int(text)


def _taken(invocation: Invocation) -> tuple[dict[str, str], dict[str, str]]:
    """Return body and headers of the reply to a request that was taken in."""
    places = {f"{PREFIX}outputlocation": invocation.output.url}
    if invocation.failure is not None:
        places[f"{PREFIX}failurelocation"] = invocation.failure.url
    return {"InferenceId": invocation.inference_id}, places


async def _send(send: Send, status: int, document: Mapping[str, str], headers: Mapping[str, str]) -> None:
    body = msgspec.json.encode(document)
    every = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    fields = [(name.encode("ascii"), value.encode("utf-8")) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})

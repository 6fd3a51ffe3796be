"""Replies as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from modelport.domain.errors import InvalidInput, ModelportError, Unavailable

JSON = "application/json"

STATUS_BY_CODE = {
    "invalid_input": 400,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "not_acceptable": 406,
    "not_found": 404,
    "conflict": 409,
    "check_failed": 409,
    "refused": 403,
    "unauthenticated": 401,
    "bad_signature": 403,
    "unknown_key": 403,
    "clock_skewed": 403,
    "signature_expired": 403,
    "forbidden": 403,
    "unavailable": 503,
    "not_ready": 429,
    "throttled": 429,
    "timed_out": 504,
    "corrupted": 503,
    "model_failed": 424,
}

Header = tuple[str, str]


def status_of(error: ModelportError) -> int:
    """Return the HTTP status of an error; 500 for one that no door should see."""
    return STATUS_BY_CODE.get(error.code, 500)


def head_line(status: int) -> str:
    """Return the status line."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


def build(status: int, body: bytes, content_type: str = JSON, headers: Sequence[Header] = ()) -> bytes:
    """Return a whole reply."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return (
        f"{head_line(status)}Content-Type: {content_type}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    ).encode("latin-1") + body


def with_header(reply: bytes, name: str, value: str) -> bytes:
    """Return the reply with one more header."""
    return reply.replace(b"\r\n", f"\r\n{name}: {value}\r\n".encode("latin-1"), 1)


def without_body(reply: bytes) -> bytes:
    """Return what HEAD is answered with; more, and the client would take it for the next reply."""
    return reply[: reply.index(b"\r\n\r\n") + 4]


def status_in(reply: bytes) -> int:
    """Return the status of a whole reply."""
    return int(reply[9:12])


def describe(error: ModelportError) -> str:
    """Return message and hint as one text."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


def refuse_plainly(error: ModelportError) -> bytes:
    """Return the reply that says what is wrong as `{"error": …}`.

    Besides `error` it holds what programs may want: `code`, and `row` and `feature` where the error has them.
    """
    status = status_of(error)
    document: dict[str, Any] = {"error": describe(error), "code": error.code, **place_of(error)}
    return build(status, msgspec.json.encode(document), headers=fields_of(error))


def place_of(error: ModelportError) -> dict[str, Any]:
    """Return `row` and `feature`, where the error has them."""
    if not isinstance(error, InvalidInput):
        return {}
    place = {"row": error.row, "feature": error.feature}
    return {name: value for name, value in place.items() if value is not None}


def fields_of(error: ModelportError) -> list[Header]:
    """Return the headers that an error asks for in any protocol."""
    if isinstance(error, Unavailable):
        return [("Retry-After", str(max(1, round(error.retry_after_s))))]
    return [("WWW-Authenticate", "Bearer")] if status_of(error) == 401 else []


def plain_error(status: int, text: str, headers: Sequence[Header] = ()) -> bytes:
    """Return an error of no particular protocol: `{"error": …}`."""
    return build(status, msgspec.json.encode({"error": text}), headers=headers)

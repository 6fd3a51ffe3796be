"""Errors as problem details.

Source: RFC 9457.
"""

from __future__ import annotations

import http
import math
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from modelport.domain import errors
from modelport.domain.errors import InvalidInput, ModelportError, Unauthenticated, Unavailable

STATUSES: dict[type[ModelportError], int] = {
    errors.InvalidInput: 400,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.NotAcceptable: 406,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.CheckFailed: 422,
    errors.ConversionFailed: 422,
    errors.Refused: 403,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.Unavailable: 503,
    errors.Unreachable: 502,
    errors.TimedOut: 504,
    errors.Corrupted: 500,
    errors.ModelportError: 500,
}
"""The one table of this door."""


def status_of(kind: type[ModelportError]) -> int:
    """Return the HTTP status of a class of errors: its own, or that of the nearest one above it."""
    return next(STATUSES[above] for above in kind.__mro__ if above in STATUSES)


def problem(error: ModelportError, *, status: int | None = None) -> Response:
    """Return an error as an answer.

    Args:
        error: What happened.
        status: Overrides the table, for what HTTP itself decides (405, 404 of an unknown path).
    """
    status = status or status_of(type(error))
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": error.message,
        "hint": error.hint,
    }
    headers = {}
    if isinstance(error, InvalidInput):
        document |= {"row": error.row, "feature": error.feature}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    content = msgspec.json.encode({key: value for key, value in document.items() if value is not None})
    return Response(content, status, headers, media_type="application/problem+json")


def explain_errors(app: FastAPI) -> None:
    """Make every error of an app a problem, also those of the framework and the unforeseen."""

    async def explained(_: Request, error: Exception) -> Response:
        assert isinstance(error, ModelportError)  # noqa: S101 - registered for it alone
        return problem(error)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
        if error.status_code == http.HTTPStatus.NOT_FOUND:
            found: ModelportError = errors.NotFound(
                f"there is nothing at {request.url.path}", hint="see /api/v1/openapi.json for what there is"
            )
        else:
            found = InvalidInput(f"{request.method} {request.url.path}: {error.detail}")
        answer = problem(found, status=error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    async def of_parameters(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(InvalidInput(f"{place}: {first['msg']}"))

    async def unforeseen(request: Request, error: Exception) -> Response:
        structlog.get_logger().error(
            "unforeseen error", path=request.url.path, method=request.method, exc_info=error
        )
        return problem(
            ModelportError(
                f"the server made a mistake ({type(error).__name__})",
                hint="its log has the details: see the folder logs of the home",
            )
        )

    app.add_exception_handler(ModelportError, explained)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_parameters)
    app.add_exception_handler(Exception, unforeseen)

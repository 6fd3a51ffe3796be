"""Bodies in and out: what a route is told, typed, and how it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from fastapi import Depends, Request
from fastapi.responses import Response

from modelport.api.platform import platform_of
from modelport.api.receiving import read_pieces
from modelport.control.services.page import Page
from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Resource
from modelport.wire.documents import to_fields

T = TypeVar("T")


def body(kind: type[T]) -> Any:
    """Return the dependency of a route that is told a JSON document.

    Args:
        kind: A dataclass, struct or typed map that the document must be.

    Raises, when a request comes:
        InvalidInput: It is not one; names the field.
        PayloadTooLarge: It is larger than the setting `body_bytes_max`.
    """

    async def read(request: Request) -> T:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise InvalidInput(
                f"the body is {content_type or 'of no declared type'}, expected application/json",
                hint="send the header Content-Type: application/json",
            )
        content = bytearray()
        settings = platform_of(request).settings
        async for piece in read_pieces(request, settings.body_bytes_max, settings.body_timeout_s):
            content += piece
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"the body does not fit: {error}", hint="see /api/v1/openapi.json") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"the body is not JSON: {error}") from error

    read.kind = kind  # type: ignore[attr-defined]  # read by `kind_of_body`
    return Depends(read)


def kind_of_body(calls: list[Callable[..., Any]]) -> Any:
    """Return the type of the document that one of a route's dependencies reads; None without one."""
    return next((call.kind for call in calls if hasattr(call, "kind")), None)


def describe(resource: Resource[Any, Any, Any]) -> dict[str, Any]:
    """Return a resource as our REST writes it."""
    return {
        "kind": resource.kind.value,
        "name": resource.name,
        "parent": resource.parent,
        "spec": to_fields(resource.spec),
        "status": to_fields(resource.status),
        "modelport": to_fields(resource.modelport),
        "generation": resource.generation,
        "observed_generation": resource.observed_generation,
        "created_at": resource.created_at,
        "modified_at": resource.modified_at,
    }


def answer(document: Any, *, status: int = 200) -> Response:
    """Return a JSON answer; a resource or a page of them is described first."""
    if isinstance(document, Resource):
        document = describe(document)
    elif isinstance(document, Page):
        items = [describe(item) if isinstance(item, Resource) else item for item in document.items]
        document = {"items": items, "next": document.next}
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def nothing() -> Response:
    """Return the answer without a body: done."""
    return Response(status_code=204)

"""The OpenAPI document, derived from the same types that bodies are read into and answers come from."""

from __future__ import annotations

import copy
import json
from typing import Annotated, Any, get_args, get_origin

import msgspec
from fastapi import FastAPI, Query
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from modelport import __version__
from modelport.access.scopes import Scope
from modelport.api.callers import calls_of, scope_of
from modelport.api.rest.bodies import kind_of_body
from modelport.control.services.page import Page
from modelport.wire.documents import VIEWS

ANSWERS = "x-answers"
WAIT_MAX_S = 30.0
_REFERENCE = "#/components/schemas/{name}"


Patience = Annotated[float, Query(ge=0.0, le=WAIT_MAX_S)]
"""Seconds that a caller lets the server wait for news before it answers."""


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 writes it; `code` is stable, `row` counts from 0."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str | None = None
    row: int | None = None
    feature: str | None = None


def serves(kind: Any, *, status: int = 200) -> dict[str, Any]:
    """Return what a route says of its answer, as keyword arguments of FastAPI's decorators.

    Args:
        kind: Type of the answer's document: a `Page[T]`, a resource, `str` for plain text, `bytes`, or None.
        status: Of a good answer.
    """
    return {"status_code": status, "response_model": None, "openapi_extra": {ANSWERS: kind}}


def describe_api(app: FastAPI) -> None:
    """Make `app.openapi()` return OpenAPI 3.1 with the schemas of all bodies and answers."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents


def _document(app: FastAPI) -> dict[str, Any]:
    routes = [route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema]
    wanted: list[Any] = [Problem]
    for route in routes:
        body, answer = kind_of_body(calls_of(route)), _inner((route.openapi_extra or {}).get(ANSWERS))
        wanted += [kind for kind in (body, answer) if kind not in (None, str, bytes)]
    schemas, components = _name_resources(msgspec.json.schema_components(wanted, ref_template=_REFERENCE))
    schema_of = {repr(kind): schema for kind, schema in zip(wanted, schemas, strict=True)}

    document = get_openapi(
        title="modelport",
        version=__version__,
        openapi_version="3.1.0",
        routes=[_bare(route) for route in routes],
    )
    document["components"] = {
        "schemas": components,
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }
    for route in routes:
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            _complete(operation, route, schema_of)
    return document


def _name_resources(described: Any) -> Any:
    """Give the schema of each kind of resource its own name: `Endpoint`, not that of its type arguments."""
    text = json.dumps(described)
    for kind, (spec, status, notes) in VIEWS.items():
        text = text.replace(f"Resource_{spec.__name__}__{status.__name__}__{notes.__name__}_", kind.value)
    return json.loads(text)


def _complete(operation: dict[str, Any], route: APIRoute, schema_of: dict[str, Any]) -> None:
    body = kind_of_body(calls_of(route))
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json(schema_of[repr(body)])}
    answer = (route.openapi_extra or {}).get(ANSWERS)
    good: dict[str, Any] = {"description": "Done"}
    if answer is str:
        good["content"] = {"text/plain": {"schema": {"type": "string"}}}
    elif answer is bytes:
        good["content"] = {"application/octet-stream": {}}
    elif answer is not None:
        schema = schema_of[repr(_inner(answer))]
        good["content"] = _json(_page(schema) if get_origin(answer) is Page else schema)
    problem = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}}
    operation["responses"] = {
        str(route.status_code or 200): good,
        "default": {"description": "It did not work; `code` says what happened", "content": problem},
    }
    scope = scope_of(route)
    operation["security"] = [] if scope in (None, Scope.PUBLIC) else [{"bearer": [str(scope)]}]


def _bare(route: APIRoute) -> APIRoute:
    """Return the route without the type of its answer, which FastAPI takes for a part of the document."""
    bare = copy.copy(route)
    bare.openapi_extra = None
    return bare


def _inner(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Page else kind


def _page(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {"type": ["string", "null"], "description": "hand it back as `after`"},
        },
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}

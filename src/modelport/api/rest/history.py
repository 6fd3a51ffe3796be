"""What happened, what is, and what this API is."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.api.callers import may
from modelport.api.platform import Here
from modelport.api.rest.bodies import answer
from modelport.api.rest.schemas import serves
from modelport.control.services.page import Page
from modelport.control.services.status import PlatformStatus
from modelport.domain.resource import Event

router = APIRouter(prefix="/api/v1", tags=["platform"])


@router.get("/events", **serves(Page[Event]))
def list_events(
    platform: Here,
    _: Annotated[Principal, may(Scope.EVENTS_READ)],
    kind: str | None = None,
    name: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Response:
    """List what happened, oldest first."""
    return answer(platform.events.list(kind=kind, name=name, after=after, limit=limit))


@router.get("/status", **serves(PlatformStatus))
def read_status(platform: Here, _: Annotated[Principal, may(Scope.STATUS_READ)]) -> Response:
    """Describe the platform: version, URLs, processes, workers, and what is not as it was wished."""
    document: dict[str, Any] = msgspec.to_builtins(platform.status.read())
    document["home"] = str(platform.settings.home)
    document["not_ready"] = platform.not_ready()
    document["token_problems"] = platform.callers.problems
    return answer(document)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, _: Annotated[Principal, may(Scope.PUBLIC)]) -> Response:
    """Return this API's own description."""
    return JSONResponse(request.app.openapi())

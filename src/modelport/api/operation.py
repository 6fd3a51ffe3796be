"""The root paths: health, metrics, and the plain front page."""

from __future__ import annotations

import html
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from modelport import __version__
from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.api.callers import may
from modelport.api.platform import Here
from modelport.domain.errors import NotFound

router = APIRouter(include_in_schema=False)
Anybody = Annotated[Principal, may(Scope.PUBLIC)]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/livez")
def livez(_: Anybody) -> Response:
    """Tell that this process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
def readyz(platform: Here, _: Anybody) -> Response:
    """Tell whether the platform can do its work, and if not, why."""
    reason = platform.not_ready()
    return PlainTextResponse("ok\n" if reason is None else f"{reason}\n", 200 if reason is None else 503)


@router.get("/metrics")
def metrics(platform: Here, _: Annotated[Principal, may(Scope.STATUS_READ)]) -> Response:
    """Return all processes' metrics as Prometheus text."""
    return Response(platform.metrics(), headers={"Content-Type": METRICS_TYPE})


@router.post("/moto-api/reset")
def reset(platform: Here, caller: Annotated[Principal, may(Scope.ADMIN)]) -> Response:
    """Empty the platform, where that is allowed: test suites written for moto start each test with it."""
    if not platform.settings.allow_test_reset:
        raise NotFound(
            "this platform is not emptied by a request",
            hint="set MODELPORT_ALLOW_TEST_RESET=1 on one that is for tests only",
        )
    platform.reset.everything(principal=caller.name)
    return JSONResponse({"status": "ok"})


@router.get("/")
def front(platform: Here, _: Anybody) -> Response:
    """Return a plain page: version, URLs, links."""
    status = platform.status.read()
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>modelport</title></head><body>',
        f"<h1>modelport {html.escape(__version__)}</h1>",
        "<dl>",
        *_term("Control", status.control_url),
        *_term("Inference", status.inference_url),
        "</dl>",
        "<ul>",
        *(
            f'<li><a href="{path}">{html.escape(text)}</a></li>'
            for path, text in (
                ("/api/v1/openapi.json", "API description (OpenAPI 3.1)"),
                ("/api/v1/status", "Status"),
                ("/api/v1/endpoints", "Endpoints"),
                ("/api/v1/model-package-groups", "Models"),
                ("/api/v1/events", "Events"),
                ("/readyz", "Ready?"),
                ("/metrics", "Metrics"),
            )
        ),
        "</ul>",
        "</body></html>",
    ]
    return HTMLResponse("\n".join(lines) + "\n")


def _term(name: str, url: str | None) -> list[str]:
    return [f"<dt>{name}</dt>", f"<dd><code>{html.escape(url or 'not known yet')}</code></dd>"]

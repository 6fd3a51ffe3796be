"""Who may call a route: every route names one scope, and an app with a route that does not never starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute

from modelport.access.principals import NOBODY, Principal
from modelport.access.scopes import Scope
from modelport.api.platform import platform_of


def may(scope: Scope) -> Any:
    """Return the dependency of a route: its caller, who holds `scope`.

    Raises, when a request comes:
        Unauthenticated: Tokens are configured and the request carries none of them.
        Forbidden: The caller lacks the scope.
    """

    def caller(request: Request) -> Principal:
        if scope is Scope.PUBLIC:
            return NOBODY
        principal = platform_of(request).callers.by_token(request.headers.get("authorization"))
        principal.require(scope)
        return principal

    caller.scope = scope  # type: ignore[attr-defined]  # read by `scope_of`
    return Depends(caller)


def scope_of(route: APIRoute) -> Scope | None:
    """Return the scope a route asks for; None when it asks for none, which `check_scopes` refuses."""
    found = [call.scope for call in calls_of(route) if hasattr(call, "scope")]
    return found[0] if len(found) == 1 else None


def check_scopes(app: FastAPI) -> None:
    """Make sure that each route asks for exactly one scope.

    Raises:
        RuntimeError: One does not; names it. The process must not start.
    """
    for route in app.routes:
        if not isinstance(route, APIRoute) or scope_of(route) is None:
            raise RuntimeError(f"route {getattr(route, 'path', route)!r} declares no scope")


def calls_of(route: APIRoute) -> list[Callable[..., Any]]:
    """Return what a route depends on."""
    return list(_calls(route.dependant))


def _calls(dependant: Any) -> Iterator[Callable[..., Any]]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)

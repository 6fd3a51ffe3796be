"""Before any route: was the request meant for this server? Also the headers that every answer carries."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelport.access.hosts import check_cross_site, check_host

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; frame-ancestors 'none'"),
)


class Gate:
    """ASGI middleware that refuses misdirected requests with 421.

    Args:
        app: What comes next.
        allowed: Names accepted besides loopback's own, from `parse_allowed`.
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in SECURITY_HEADERS if header[0] not in given),
                ]
            await send(message)

        reason = self._refuse(scope)
        if reason is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await _misdirected(send_with_headers, reason)

    def _refuse(self, scope: Scope) -> str | None:
        hosts: list[bytes] = []
        origins: list[bytes] = []
        sites: list[bytes] = []
        wanted = {b"host": hosts, b"origin": origins, b"sec-fetch-site": sites}
        for name, value in scope["headers"]:
            if name in wanted:
                wanted[name].append(value)
        for name, values in wanted.items():
            if len(values) > 1:
                return f"the request has {len(values)} {name.decode()} headers"
        host, origin, site = (
            values[0].decode("latin-1") if values else None for values in (hosts, origins, sites)
        )
        return check_host(host, origin, self._allowed) or check_cross_site(scope["method"], site)


async def _misdirected(send: Send, reason: str) -> None:
    body = json.dumps(
        {
            "type": "about:blank",
            "title": "Misdirected Request",
            "status": 421,
            "code": "refused",
            "detail": reason,
            "hint": "use a loopback name, or add the name to the setting allowed_hosts",
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})

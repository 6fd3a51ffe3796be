"""SageMaker's runtime on the control port: passes requests on to a worker, byte for byte.

One URL is all an AWS program is told, so predictions come here too. Whoever wants the data plane's speed asks
the inference port itself, with the same client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
from starlette.types import Message, Receive, Scope, Send

HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"),
        *(b"upgrade", b"expect"),
    }
)
"""Headers of one connection (RFC 9110 7.6.1), and Expect, which was answered here."""
CONNECTIONS_MAX = 256


class Runtime:
    """ASGI application that forwards to the workers' Unix socket.

    Args:
        socket: Where the workers listen.
        timeout_s: Seconds to wait for a worker, which has a deadline of its own.
    """

    def __init__(self, socket: Path, *, timeout_s: float) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(socket), limits=httpx.Limits(max_connections=CONNECTIONS_MAX)
            ),
            base_url="http://localhost",
            timeout=httpx.Timeout(timeout_s, pool=timeout_s),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of ASGI; the worker is left alone once the client is gone."""
        whole = asyncio.Event()
        forwarding = asyncio.create_task(self._forward(scope, _body(receive, whole), send))
        leaving = asyncio.create_task(_gone(receive, whole))
        try:
            await asyncio.wait((forwarding, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            forwarding.cancel()  # nothing happens where it is done
            await asyncio.wait((forwarding, leaving))
        if not forwarding.cancelled():
            forwarding.result()

    async def _forward(self, scope: Scope, body: AsyncIterator[bytes], send: Send) -> None:
        query = scope.get("query_string", b"")
        raw_path: bytes = scope["raw_path"]
        request = self._client.build_request(
            scope["method"],
            httpx.URL(scheme="http", host="localhost", raw_path=raw_path + (b"?" + query if query else b"")),
            headers=[item for item in scope["headers"] if item[0] not in HOP_BY_HOP],
            content=body,
        )
        try:
            reply = await self._client.send(request, stream=True)
        except httpx.TimeoutException:
            await _refuse(send, 424, "ModelError", "no worker answered in time")
            return
        except httpx.TransportError as error:
            await _refuse(send, 503, "ServiceUnavailable", f"no worker answers: {error}")
            return
        try:
            headers = [(k.lower(), v) for k, v in reply.headers.raw if k.lower() not in HOP_BY_HOP]
            await send({"type": "http.response.start", "status": reply.status_code, "headers": headers})
            async for chunk in reply.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await reply.aclose()


async def _body(receive: Receive, whole: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield the body of a request as it comes, and say when that was all."""
    more = True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.ReadError("the client is gone")
        more = message.get("more_body", False)
        if not more:
            whole.set()
        yield message.get("body", b"")


async def _gone(receive: Receive, whole: asyncio.Event) -> None:
    """Return when the client is gone; until its request is whole, who reads the body hears of that."""
    await whole.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    body = msgspec.json.encode({"Message": message})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"x-amzn-errortype", code.encode("ascii")),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Asks the workers over their Unix socket: HTTP/1.1 on connections that are kept.

A request that got no answer is not sent again: nobody here knows whether a worker died of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools

from modelport.wire import sockets

CONNECT_TIMEOUT_S = 1.0

Header = tuple[str, str]


class LinkLost(Exception):
    """No worker answered."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker answered.

    Args:
        status: Of HTTP.
        headers: Names in lower case.
        body: All of it.
    """

    status: int
    headers: dict[str, str]
    body: bytes


class Link:
    """Connections to whichever worker takes them.

    Args:
        path: Where the workers listen.
        idle_s: Seconds a connection is kept unused; shorter than the workers keep it, so that none is
            closed at the moment it is used.
    """

    def __init__(self, path: Path, *, idle_s: float) -> None:
        self._path = path
        self._idle_s = idle_s
        self._idle: list[tuple[float, _Connection]] = []  # the one used last is at the end

    async def ask(
        self, method: str, path: str, headers: Sequence[Header] = (), body: Sequence[bytes] = ()
    ) -> Reply:
        """Return a worker's reply.

        Args:
            method: Of HTTP.
            path: Without anything that must not stand in a request line.
            headers: Besides Host and Content-Length, each free of line ends.
            body: In pieces, sent one after the other.

        Raises:
            LinkLost: No worker listens, or the connection ended before the reply was complete.
        """
        size = sum(map(len, body))
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {size}\r\n\r\n"
        connection = self._take() or await self._connect()
        try:
            reply = await connection.exchange([head.encode("latin-1"), *body])
        except BaseException:
            connection.close()  # also when the caller gave up: the reply would be the next one's
            raise
        if connection.reusable:
            self._idle.append((asyncio.get_running_loop().time(), connection))
        else:
            connection.close()
        return reply

    def close(self) -> None:
        """End the connections that nobody uses."""
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    def _take(self) -> _Connection | None:
        """Return a connection that is kept, and end those that were kept long enough."""
        oldest = asyncio.get_running_loop().time() - self._idle_s
        while self._idle and self._idle[0][0] < oldest:
            self._idle.pop(0)[1].close()
        while self._idle:
            _, connection = self._idle.pop()
            if connection.reusable:
                return connection
        return None

    async def _connect(self) -> _Connection:
        try:
            connected = sockets.connect(self._path, timeout_s=CONNECT_TIMEOUT_S)
        except OSError as error:
            raise LinkLost(f"no worker listens at {self._path.name} ({error})") from error
        _, connection = await asyncio.get_running_loop().create_unix_connection(_Connection, sock=connected)
        return connection


class _Connection(asyncio.Protocol):
    """One connection, used by one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[Reply] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._open = False
        self._keep_alive = True

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent."""
        return self._open and self._keep_alive and not self._transport.is_closing()

    async def exchange(self, parts: Sequence[bytes]) -> Reply:
        """Send one request and return its reply.

        Raises:
            LinkLost: The connection ended first.
        """
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.writelines(parts)
        return await self._waiter

    def close(self) -> None:
        """End it at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._open = cast("asyncio.Transport", transport), True  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"a worker's reply is no proper HTTP ({error})")

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        self._fail(
            f"the worker ended before it answered ({exc})" if exc else "the worker ended before it answered"
        )

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        headers, self._headers = self._headers, {}
        body, self._body = b"".join(self._body), []
        # An answer to half a request leaves the other half in the way.
        self._keep_alive = self._parser.should_keep_alive() and not self._transport.get_write_buffer_size()
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            self._keep_alive = False  # nobody asked: such a connection is not to be trusted
        elif not waiter.done():
            waiter.set_result(Reply(self._parser.get_status_code(), headers, body))

    def _fail(self, reason: str) -> None:
        self._keep_alive = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(LinkLost(reason))

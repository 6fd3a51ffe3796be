"""HTTP/1.1 for workers of the same machine: one request after the other, in the order in which they came.

A model's code is called in the main thread and never twice at once: most of it was never meant for threads.
A request that takes too long ends the process, with a traceback in its log of where it was; another process
takes its place.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from http import HTTPStatus

HEAD_BYTES_MAX = 64 << 10
BODY_BYTES_MAX = 1 << 30


class Request:
    """What is asked.

    Args:
        method: HTTP method.
        path: Of the target.
        headers: Names in lower case.
        body: All of it.
    """

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body


class Reply:
    """What is answered.

    Args:
        body: All of it, or its parts as they come.
        content_type: Media type.
        status: HTTP status.
        headers: Further ones.
    """

    def __init__(
        self,
        body: bytes | Iterator[bytes],
        content_type: str = "application/json",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.status = status
        self.headers = headers or {}


Answer = Callable[[Request], Reply]


def serve(listener: socket.socket, answer: Answer, *, timeout_s: float, on_ready: Callable[[], None]) -> None:
    """Answer until this process is ended, which nobody does before its last request is answered.

    Args:
        listener: Listens.
        answer: Called for each request but `GET /ping`; what it raises is answered with 500.
        timeout_s: Seconds a call may take.
        on_ready: Called once requests are taken.
    """
    asyncio.run(_Server(answer, timeout_s).run(listener, on_ready))


class _Server:
    """The connections, and the requests that wait for their turn."""

    def __init__(self, answer: Answer, timeout_s: float) -> None:
        self._answer = answer
        self._timeout_s = timeout_s
        self._waiting: deque[tuple[_Connection, Request]] = deque()
        self._came = asyncio.Event()

    async def run(self, listener: socket.socket, on_ready: Callable[[], None]) -> None:
        await asyncio.get_running_loop().create_unix_server(lambda: _Connection(self), sock=listener)
        on_ready()
        while True:
            await self._came.wait()
            while self._waiting:
                connection, request = self._waiting.popleft()
                if connection.open:
                    await self._take(connection, request)
            self._came.clear()

    def put(self, connection: _Connection, request: Request) -> None:
        """Take a request that is complete."""
        if request.path == "/ping" and request.method == "GET":
            connection.send(_whole(Reply(b"", "text/plain")))
            return
        self._waiting.append((connection, request))
        self._came.set()

    async def _take(self, connection: _Connection, request: Request) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._timeout_s)
        try:
            try:
                reply = self._answer(request)
            except Exception as error:  # noqa: BLE001 - one request's trouble
                traceback.print_exc()
                reply = Reply(repr(error).encode("utf-8", "replace"), "text/plain", 500)
            if isinstance(reply.body, bytes):
                connection.send(_whole(reply))
            else:
                await self._stream(connection, reply, reply.body)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        connection.go_on()

    async def _stream(self, connection: _Connection, reply: Reply, parts: Iterator[bytes]) -> None:
        """Send parts as they come; one that fails cuts the connection, which tells the reader."""
        connection.send(_head(reply, "Transfer-Encoding: chunked"))
        try:
            for part in parts:
                signal.setitimer(signal.ITIMER_REAL, self._timeout_s)
                if not connection.open:
                    return
                if part:
                    connection.send(b"%x\r\n%b\r\n" % (len(part), part))
                await connection.writable.wait()
        except Exception:  # noqa: BLE001 - the user's code
            traceback.print_exc()
            connection.cut()
            return
        connection.send(b"0\r\n\r\n")


class _Connection(asyncio.Protocol):
    """One worker's connection: a request, its reply, the next request."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str], int, int] | None = None
        self._busy = False
        self._transport: asyncio.Transport | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    @property
    def open(self) -> bool:
        """Whether somebody is there to hear."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a Unix socket's is
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self.go_on(done=False)

    def go_on(self, *, done: bool = True) -> None:
        """Read the next request, once the one before it is answered.

        Args:
            done: It is.
        """
        self._busy = self._busy and not done
        if self._busy:
            return
        try:
            request = self._read()
        except ValueError as error:
            self.send(_whole(Reply(str(error).encode("utf-8"), "text/plain", 400)))
            self.cut(politely=True)
            return
        if request is not None:
            self._busy = request.path != "/ping"
            self._server.put(self, request)

    def send(self, data: bytes) -> None:
        """Send bytes, where somebody is there to hear."""
        if self._transport is not None:
            self._transport.write(data)

    def cut(self, *, politely: bool = False) -> None:
        """End the connection; politely: what was sent arrives first."""
        if self._transport is not None:
            (self._transport.close if politely else self._transport.abort)()

    def _read(self) -> Request | None:
        """Return a request once it is complete.

        Raises:
            ValueError: It is none.
        """
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > HEAD_BYTES_MAX:
                    raise ValueError("the head is too large")
                return None
            self._head = (*_read_head(bytes(self._buffer[:end])), end + 4)
        method, path, headers, length, start = self._head
        if len(self._buffer) < start + length:
            return None
        body = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        self._head = None
        return Request(method, path, headers, body)


def _read_head(head: bytes) -> tuple[str, str, dict[str, str], int]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if version != "HTTP/1.1":
        raise ValueError("only HTTP/1.1 is spoken here")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("a header has no colon")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY_BYTES_MAX or "transfer-encoding" in headers:
        raise ValueError("the length of the body is none")
    return method, target.partition("?")[0], headers, int(length)


def _whole(reply: Reply) -> bytes:
    assert isinstance(reply.body, bytes)  # noqa: S101 - the others are streamed
    return _head(reply, f"Content-Length: {len(reply.body)}") + reply.body


def _head(reply: Reply, framing: str) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {reply.status} {phrase}", f"Content-Type: {reply.content_type}", framing]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

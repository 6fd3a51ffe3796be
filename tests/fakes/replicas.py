"""A replica in a thread of this process: speaks HTTP on a Unix socket, as well or as badly as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from modelport.wire import sockets

TIMEOUT_S = 20.0


@dataclass
class Asked:
    """A request that came."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    writer: asyncio.StreamWriter = field(repr=False)

    def send(self, data: bytes) -> None:
        """Send something back."""
        self.writer.write(data)


Behave = Callable[[Asked], Awaitable[bool]]
"""Answers a request; returns whether the connection goes on."""


def reply(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    """Return a whole reply; underscores in header names stand for hyphens."""
    fields = {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    """Return one chunk; the last one for nothing."""
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


def saying(data: bytes, *, on: bool = True) -> Behave:
    """Return what answers every request with these bytes."""

    async def behave(asked: Asked) -> bool:
        asked.send(data)
        return on

    return behave


async def echo(asked: Asked) -> bool:
    """Send the body back."""
    asked.send(reply(asked.body, Content_Type=asked.headers.get("content-type", "text/plain")))
    return True


class FakeReplica:
    """Listens until the block ends.

    Args:
        folder: `run/replicas`.
        name: Of its socket.
        behave: Answers requests; may be changed at any time.
    """

    def __init__(self, folder: Path, name: str, behave: Behave = echo) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / name
        self.behave = behave
        self.asked: list[Asked] = []
        self.connections = 0
        self._news = threading.Condition()
        self._ended = 0
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self.crash()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def crash(self) -> None:
        """Stop to listen and drop every connection, as the end of a process does."""
        self._call(self._end())

    async def wait_for_gate(self) -> None:
        """Wait until the test opens the gate: for use in `behave`."""
        await self._gate.wait()

    def open_gate(self) -> None:
        """Let those go on who wait."""
        self._loop.call_soon_threadsafe(self._gate.set)

    def drop_connections(self) -> None:
        """End every connection, and wait until that is done."""
        self._call(self._drop())

    def wait_asked(self, count: int) -> None:
        """Wait until so many requests came."""
        self._wait(lambda: len(self.asked) >= count)

    def wait_ended(self, count: int) -> None:
        """Wait until so many connections ended."""
        self._wait(lambda: self._ended >= count)

    def _wait(self, reached: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(reached, TIMEOUT_S)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=sockets.listen(self.path))

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        tasks = dict(self._tasks)
        for task, writer in tasks.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        self.connections += 1
        number = self.connections
        try:
            while True:
                asked = await _read(reader, writer, number)
                with self._news:
                    self.asked.append(asked)
                    self._news.notify_all()
                if not await self._answer(asked, reader):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            del self._tasks[task]
            with self._news:
                self._ended += 1
                self._news.notify_all()

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader) -> bool:
        """Behave, unless the other side ends the connection first: it says nothing before it is answered."""
        behaving = asyncio.ensure_future(self.behave(asked))
        watching = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((behaving, watching), return_when=asyncio.FIRST_COMPLETED)
            return behaving.done() and behaving.result()
        finally:
            for task in (behaving, watching):
                task.cancel()
            await asyncio.gather(behaving, watching, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Asked(line, headers, body, number, writer)

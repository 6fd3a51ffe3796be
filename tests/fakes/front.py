"""The HTTP half of a worker in a thread: real sockets, and replies that the test gives."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop

from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.heads import RequestHead, want
from modelport.dataplane.replies import build
from modelport.dataplane.server import Plans, Server
from modelport.domain.clock import SystemClock
from modelport.settings import Settings

START_TIMEOUT_S = 10.0
WAIT_S = 10.0


class FrontInThread:
    """Answers each request with its body; `/hold` waits until the test replies, `/large/N` sends N bytes.

    Args:
        settings: Those that differ from the defaults.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = replace(Settings(home=Path("/nowhere")), **settings)
        self.refused: Counter[int] = Counter()
        self.cut: Counter[str] = Counter()
        self.held: list[Exchange] = []
        self.dropped: list[Exchange] = []
        self.handled = 0
        self.droppable = False
        self.server: Server
        self.port = 0
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._end: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(START_TIMEOUT_S)
        assert not self._thread.is_alive()

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """Return a connection, with a small buffer for what is received where that is asked for."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(WAIT_S)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """Call a function on the loop."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(WAIT_S)

    def wait(self, condition: Callable[[], Any]) -> None:
        """Wait until something holds on the loop."""
        end = time.monotonic() + WAIT_S
        while not self.on_loop(condition):
            assert time.monotonic() < end
            time.sleep(0.005)

    def wait_for_connections(self, count: int) -> None:
        """Wait until so many connections are open."""
        self.wait(lambda: len(self.server.connections) == count)

    def release(self) -> None:
        """Reply to what is held."""

        def reply() -> None:
            held, self.held = self.held, []
            for exchange in held:
                exchange.reply(build(200, exchange.body, "text/plain"))

        self.on_loop(reply)

    def _handle(self, path: str, exchange: Exchange) -> None:
        self.handled += 1
        if path == "/hold":
            if self.droppable:
                exchange.drop = self.dropped.append
            self.held.append(exchange)
        elif path.startswith("/large/"):
            exchange.reply(build(200, bytes(int(path[7:])), "application/octet-stream"))
        elif path == "/fault":
            raise OSError("a fault of ours")
        else:
            exchange.reply(build(200, exchange.body, "text/plain"))

    def _plan_for(self, head: RequestHead) -> Plan:
        return Plan(
            partial(self._handle, head.path),
            length=head.length,
            keep_alive=head.keep_alive,
            expects_continue=head.expects_continue,
        )

    def _run(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            self.port = listener.getsockname()[1]
            uvloop.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.server = Server(
            self.settings,
            SystemClock(),
            self._loop,
            count_refused=lambda status: self.refused.update([status]),
            count_cut=lambda reason: self.cut.update([reason]),
        )
        plans = Plans(self._plan_for, want(()), self.settings.header_bytes_max)
        listening = await self._loop.create_server(
            partial(self.server.connect, plans), sock=listener, backlog=1024
        )
        self._ready.set()
        await self._end.wait()
        listening.close()
        self.server.close()
        await asyncio.sleep(0)  # for `connection_lost`
        assert not self.server.connections

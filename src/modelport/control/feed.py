"""Control's end of the feed: knows the live workers and tells them which tables to prepare and activate.

Runs in a thread of its own. It decides nothing but one thing: a worker that is behind is told so, whenever it
comes. What all workers together mean is judged in `domain/planning/rollout.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from modelport.domain.errors import InvalidInput
from modelport.domain.planning.rollout import PrepareFailure, WorkerView
from modelport.wire import sockets
from modelport.wire.feed import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    Activate,
    Activated,
    Asked,
    CannotHost,
    Drained,
    FromControl,
    FromWorker,
    Hello,
    HostedName,
    ModelState,
    Prepare,
    Prepared,
    PrepareFailed,
    Used,
    decode_from_worker,
    frame,
)

CONNECTIONS_MAX = 256
REASON_LENGTH_MAX = 2_000
FAILED_MAX = 1_000
START_TIMEOUT_S = 10.0
NEWS_MAX = 10_000
"""Hosted models that workers may speak of between two looks; what is more is said again soon."""

_log = structlog.get_logger("modelport.feed")


class _Connection:
    """One worker that said Hello, and how to reach it."""

    def __init__(self, view: WorkerView, writer: asyncio.StreamWriter) -> None:
        self.view = view
        self.writer = writer
        self.drained: set[int] = set()

    def send(self, message: FromControl) -> None:
        if not self.writer.is_closing():
            self.writer.write(frame(message))


class Feed:
    """The workers, as they are now.

    Args:
        path: Where to listen; its folder belongs to this user alone.
        active_revision: The table that serves.
        wake: Called whenever a worker said something.
    """

    def __init__(self, path: Path, active_revision: int, wake: Callable[[], None]) -> None:
        self._path = path
        self._active = active_revision
        self._preparing = 0
        self._wake = wake
        self._connections: list[_Connection] = []
        self._views: tuple[WorkerView, ...] = ()
        self._lock = threading.Lock()
        self._asked: set[HostedName] = set()
        self._used: set[HostedName] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: The socket cannot be made.
        """
        self._thread.start()
        self._started.wait(START_TIMEOUT_S)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close all connections and the socket. Workers go on serving."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def workers(self) -> tuple[WorkerView, ...]:
        """Return the live workers, by their place."""
        return self._views

    def take_news(self) -> tuple[set[HostedName], set[HostedName]]:
        """Return the hosted models that requests wait for, and those that were asked, since the last call."""
        with self._lock:
            asked, self._asked = self._asked, set()
            used, self._used = self._used, set()
        return asked, used

    def refuse(self, model: HostedName, reason: str, *, known: bool) -> None:
        """Tell every worker that nobody need wait for a hosted model any more."""
        self._loop.call_soon_threadsafe(self._say, CannotHost(model, known, reason[:REASON_LENGTH_MAX]))

    def prepare(self, revision: int) -> None:
        """Ask every worker, also those still to come, to prepare a table."""
        self._loop.call_soon_threadsafe(self._say_prepare, revision)

    def activate(self, revision: int) -> None:
        """Tell every worker that a table serves; one that has not prepared it is told once it has."""
        self._loop.call_soon_threadsafe(self._say_activate, revision)

    def abandon(self, revision: int) -> None:
        """Stop asking workers to prepare a table."""
        self._loop.call_soon_threadsafe(self._forget, revision)

    def drop(self, index: int) -> None:
        """Close the connection of a worker that does not answer; it comes back when it can."""
        self._loop.call_soon_threadsafe(self._close_worker, index)

    # ── In the feed's thread ────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 (handed to whoever started it)
            self._error = error
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        server = await asyncio.start_unix_server(self._converse, sock=sockets.listen(self._path))
        self._started.set()
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.writer.close()
        talks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Listen to one worker until it goes, or says what no worker says."""
        connection: _Connection | None = None
        try:
            if len(self._connections) >= CONNECTIONS_MAX or not _same_user(writer):
                return
            hello = await _greet(reader)
            connection = _Connection(WorkerView(hello.index, hello.pid, hello.active_revision), writer)
            self._connections.append(connection)
            self._catch_up(connection)
            self._publish()
            while True:
                message = await _receive(reader)
                if isinstance(message, Asked | Used):
                    self._note(message)
                else:
                    self._take(connection, message)
                    self._publish()
        except InvalidInput as error:
            _log.warning("feed.garbage", error=error.message)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it went; the supervisor starts another
        finally:
            if connection is not None:
                self._connections.remove(connection)
                self._publish()
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    def _note(self, message: Asked | Used) -> None:
        """Keep what is said of hosted models until somebody looks."""
        with self._lock:
            kept = self._asked if isinstance(message, Asked) else self._used
            if len(kept) < NEWS_MAX:
                kept.update(message.models)
        if isinstance(message, Asked):
            self._wake()

    def _say(self, message: FromControl) -> None:
        for connection in self._connections:
            connection.send(message)

    def _take(self, connection: _Connection, message: FromWorker) -> None:
        view = connection.view
        if isinstance(message, Prepared):
            connection.view = replace(view, prepared_revision=message.revision)
            if view.active_revision < message.revision <= self._active:
                connection.send(Activate(message.revision))
        elif isinstance(message, PrepareFailed):
            reason = message.reason[:REASON_LENGTH_MAX]
            failure = PrepareFailure(message.revision, message.digest or None, reason)
            connection.view = replace(view, failure=failure)
        elif isinstance(message, ModelState):
            if message.state == "failed":
                reason = (message.reason or "it did not load")[:REASON_LENGTH_MAX]
                connection.view = _with_failed(view, message.digest, reason)
            elif message.state == "ready":
                failed = {name: why for name, why in view.failed.items() if name != message.digest}
                connection.view = replace(view, failed=failed)
        elif isinstance(message, Activated):
            connection.view = replace(
                view,
                active_revision=message.revision,
                prepared_revision=max(view.prepared_revision, message.revision),
                draining=view.draining | ({view.active_revision} - connection.drained - {0}),
            )
            connection.drained.clear()
        elif isinstance(message, Drained):
            connection.drained.add(message.revision)  # it may come before the table after it is told of
            connection.view = replace(view, draining=view.draining - {message.revision})
        else:
            raise InvalidInput("a worker said Hello twice")

    def _catch_up(self, connection: _Connection) -> None:
        """Tell a worker that came what it missed."""
        if connection.view.active_revision < self._active:
            connection.send(Prepare(self._active))
        if self._preparing > self._active:
            connection.send(Prepare(self._preparing))

    def _say_prepare(self, revision: int) -> None:
        self._preparing = revision
        self._say(Prepare(revision))

    def _say_activate(self, revision: int) -> None:
        self._active = revision
        for connection in self._connections:
            if connection.view.prepared_revision >= revision:
                connection.send(Activate(revision))

    def _forget(self, revision: int) -> None:
        if self._preparing == revision:
            self._preparing = 0

    def _close_worker(self, index: int) -> None:
        for connection in self._connections:
            if connection.view.index == index:
                connection.writer.close()

    def _publish(self) -> None:
        self._views = tuple(
            sorted((connection.view for connection in self._connections), key=lambda view: view.index)
        )
        self._wake()


async def _greet(reader: asyncio.StreamReader) -> Hello:
    message = await _receive(reader)
    if not isinstance(message, Hello):
        raise InvalidInput(f"a worker began with {type(message).__name__}, expected Hello")
    return message


async def _receive(reader: asyncio.StreamReader) -> FromWorker:
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
    if length > FRAME_BYTES_MAX:
        raise InvalidInput(f"a frame of {length} bytes, expected at most {FRAME_BYTES_MAX}")
    return decode_from_worker(await reader.readexactly(length))


def _with_failed(view: WorkerView, digest: str, reason: str) -> WorkerView:
    kept = list(view.failed.items())[-FAILED_MAX:]  # the oldest concern models long forgotten
    return replace(view, failed={**dict(kept), digest: reason})


def _same_user(writer: asyncio.StreamWriter) -> bool:
    return sockets.same_user(writer.get_extra_info("socket"))

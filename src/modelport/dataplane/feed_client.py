"""The worker's side of the feed: does what control asks, reports what became of it, and outlives it."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import structlog

from modelport.dataplane.hosted import HostedRequests
from modelport.dataplane.loading import State
from modelport.dataplane.serving import Serving
from modelport.domain.errors import InvalidInput
from modelport.wire.feed import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    Activate,
    Activated,
    Asked,
    CannotHost,
    Drained,
    FromWorker,
    Hello,
    ModelState,
    Prepare,
    Prepared,
    PrepareFailed,
    Used,
    decode_from_control,
    frame,
)
from modelport.wire.sockets import connect, same_user

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.25
REASON_LENGTH_MAX = 1000

log = structlog.get_logger()


class FeedClient:
    """One worker's connection to control, made again whenever it ends.

    Args:
        path: Control's socket.
        index: Which worker this is.
        serving: Does what control asks.
        hosted: Requests that wait for models which control may have hosted.
    """

    def __init__(self, path: Path, index: int, serving: Serving, hosted: HostedRequests) -> None:
        self._path = path
        self._index = index
        self._serving = serving
        self._hosted = hosted
        hosted.ask = lambda models: self._send(Asked(models))
        hosted.tell_used = lambda models: self._send(Used(models))
        self._writer: asyncio.StreamWriter | None = None
        self.connected = False
        serving.on_drained(lambda revision: self._send(Drained(revision)))
        serving.on_failed(lambda digest, reason: self.report(digest, "failed", reason))

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                connection = await asyncio.to_thread(connect, self._path, timeout_s=1.0)
            except OSError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            if not same_user(connection):
                log.error("feed.stranger")
                connection.close()
                await asyncio.sleep(LONGEST_PAUSE_S)
                continue
            reader, writer = await asyncio.open_unix_connection(sock=connection)
            try:
                await self._converse(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                log.info("feed.lost")
            except InvalidInput as error:
                log.warning("feed.not_understood", reason=error.message)
            finally:
                self.connected = False
                self._writer = None
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            pause = FIRST_PAUSE_S
            await asyncio.sleep(pause)

    def report(self, digest: str, state: State, reason: str | None) -> None:
        """Tell control about a model."""
        self._send(ModelState(digest, state, None if reason is None else reason[:REASON_LENGTH_MAX]))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._send(Hello(self._index, os.getpid(), self._serving.revision))
        for digest, reason in self._serving.failures.items():
            self.report(digest, "failed", reason)
        self.connected = True
        log.info("feed.connected", revision=self._serving.revision)
        while True:
            length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
            if length > FRAME_BYTES_MAX:
                raise InvalidInput(f"a message of {length} bytes, at most {FRAME_BYTES_MAX} are read")
            message = decode_from_control(await reader.readexactly(length))
            if isinstance(message, CannotHost):
                self._hosted.refuse(message.model, message.reason, known=message.known)
                continue
            try:
                await self._obey(message)
            except (InvalidInput, OSError) as error:
                log.warning("routes.unreadable", revision=message.revision, reason=str(error))
                if isinstance(message, Prepare):
                    self._send(PrepareFailed(message.revision, "", f"its route file cannot be read: {error}"))

    async def _obey(self, message: Prepare | Activate) -> None:
        revision = message.revision
        match message:
            case Prepare():
                fault = await self._serving.prepare(revision, self.report)
                if fault is None:
                    self._send(Prepared(revision))
                else:
                    self._send(PrepareFailed(revision, fault[0], fault[1][:REASON_LENGTH_MAX]))
            case Activate():
                await self._serving.activate(revision, self.report)
                self._send(Activated(revision))

    def _send(self, message: FromWorker) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

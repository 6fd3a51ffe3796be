"""A client that knows the right answer to each request, and asks thousands a second.

Each answer is checked against the version that its header names, so that a request that was routed to
another version, or a reply that was given to another request, is seen and not only counted as a 200.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from fakes.bundles import row_for, truthful_answer

ROWS = 256
HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
VERSION = re.compile(rb"x-modelport-model-version:\s*(\S+):(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"connection:\s*close", re.IGNORECASE)
PAUSE_AFTER_FAILURE_S = 0.01


@dataclass(slots=True)
class Report:
    """What a truthful client saw.

    Args:
        answered: Requests with a right answer.
        failed: Requests without a 200, by reason.
        misrouted: Answers that are not those of the version named beside them, as text.
        versions: Right answers by version.
        slowest_s: Longest wait for an answer.
        seconds: How long it asked.
    """

    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    misrouted: list[str] = field(default_factory=list)
    versions: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Return right answers per second."""
        return self.answered / self.seconds if self.seconds else 0.0


class TruthfulLoad:
    """Connections that ask in a closed loop, in a thread of their own, until the block ends.

    Args:
        url: Of the inference port.
        endpoint: Serves versions made by `truthful_bundle`.
        connections: How many.
        fresh: How many of them open a new connection for each request.
        pause_s: Seconds each waits between an answer and its next request; 0 asks for all there is.
    """

    def __init__(
        self, url: str, endpoint: str, *, connections: int = 16, fresh: int = 8, pause_s: float = 0.0
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)
        self.report = Report()
        self.requests = [_request(parts.netloc, endpoint, row_for(number)) for number in range(ROWS)]
        self.rows = [row_for(number) for number in range(ROWS)]
        self.pause_s = pause_s
        self.stopping = False
        self._fresh = [number < fresh for number in range(connections)]
        self._thread = threading.Thread(target=self._run, name="truthful", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> Report:
        """Let every connection finish its request; return the report."""
        self.stopping = True
        self._thread.join(30.0)
        assert not self._thread.is_alive()
        return self.report

    def _run(self) -> None:
        started = time.monotonic()
        asyncio.run(self._ask())
        self.report.seconds = time.monotonic() - started

    async def _ask(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, fresh in enumerate(self._fresh):
                group.create_task(self._ask_on_one(number, fresh=fresh))

    async def _ask_on_one(self, number: int, *, fresh: bool) -> None:
        """Hold one connection after the other until the end."""
        loop = asyncio.get_running_loop()
        turn = number
        while not self.stopping:
            ended: asyncio.Future[int] = loop.create_future()
            asker = _Asker(self, ended, turn, fresh=fresh)
            try:
                await loop.create_connection(lambda asker=asker: asker, self.host, self.port)  # type: ignore[misc]
            except OSError as error:
                self.report.failed[f"connect: {type(error).__name__}"] += 1
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
                continue
            turn = await ended
            if self.pause_s:
                await asyncio.sleep(self.pause_s)


class _Asker(asyncio.Protocol):
    """One connection: sends, checks the answer, sends again."""

    def __init__(self, load: TruthfulLoad, ended: asyncio.Future[int], turn: int, *, fresh: bool) -> None:
        self._load = load
        self._ended = ended
        self._turn = turn
        self._fresh = fresh
        self._buffer = b""
        self._waiting = False
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._waiting = True
        self._sent_at = time.monotonic()
        self._transport.write(self._load.requests[self._turn % ROWS])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(HEAD_END)
        if end < 0:
            return
        head = self._buffer[:end]
        length = LENGTH.search(head)
        size = int(length.group(1)) if length else 0
        if len(self._buffer) < end + len(HEAD_END) + size:
            return
        body = self._buffer[end + len(HEAD_END) :]
        self._buffer = b""
        self._waiting = False
        self._judge(head, body)
        self._turn += 1
        assert self._transport is not None
        if self._fresh or self._load.stopping or CLOSES.search(head):
            self._transport.close()
        elif self._load.pause_s:
            asyncio.get_running_loop().call_later(self._load.pause_s, self._send_unless_closed)
        else:
            self._send()

    def _send_unless_closed(self) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._send()

    def _judge(self, head: bytes, body: bytes) -> None:
        report = self._load.report
        report.slowest_s = max(report.slowest_s, time.monotonic() - self._sent_at)
        status = head[9:12].decode()
        if status != "200":
            report.failed[f"{status}: {body[:120].decode(errors='replace')}"] += 1
            return
        named = VERSION.search(head)
        answer = json.loads(body)["predictions"]
        version = int(named.group(2)) if named else 0
        expected = truthful_answer(version, self._load.rows[self._turn % ROWS])
        if answer != [expected]:
            report.misrouted.append(f"version {version} answered {answer}, expected [{expected}]")
            return
        report.answered += 1
        report.versions[version] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            reason = type(exc).__name__ if exc else "closed without an answer"
            self._load.report.failed[f"lost: {reason}"] += 1
        if not self._ended.done():
            self._ended.set_result(self._turn + 1)


def _request(host: str, endpoint: str, row: list[float]) -> bytes:
    body = json.dumps({"instances": [row]}).encode()
    return (
        f"POST /endpoints/{endpoint}/invocations HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body

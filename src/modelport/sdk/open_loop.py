"""An open-loop load generator: requests leave when they are due, whether or not earlier ones were answered.

Users do not wait for each other. A generator that does (a closed loop) asks less of a slow server, and
measures only the requests it got round to sending. Here arrivals are drawn beforehand, independent of the
answers, and a latency counts from the moment its request was due ("coordinated omission" is what leaving
that out is called: G. Tene, "How NOT to measure latency", 2015).

HTTP/1.1 over as many kept connections as are needed, one request at a time on each. Standard library only,
with uvloop where it is installed.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
PACE_S = 0.00025
"""How often due requests are looked for: event loops round their own timers to a millisecond."""
ARRIVALS_SEED = 20130101
GRACE_S = 5.0
"""How long answers are waited for after the last request was due."""
REFUSALS = frozenset({429, 503})

Result = TypeVar("Result")


@dataclass(slots=True)
class Offered:
    """What became of the requests of one load.

    Args:
        due: How many were due.
        seconds: For how long.
        answered_s: Latency of each 2xx, counted from when it was due, in seconds.
        refused_s: Latency of each 429 and 503.
        late_s: How long after it was due each request was written, in seconds: the generator's own delay,
            or that of waiting for a connection.
        failed: Other outcomes by name: a status, or how a connection broke.
        unanswered: Requests without an answer when the wait for them ended.
        answered_in_time: How many of the 2xx came within `seconds`.
        busy: Share of a core the generator's thread took; near 1, it may itself have been what was slow.
    """

    due: int = 0
    seconds: float = 0.0
    answered_s: array[float] = field(default_factory=lambda: array("d"))
    refused_s: array[float] = field(default_factory=lambda: array("d"))
    late_s: array[float] = field(default_factory=lambda: array("d"))
    failed: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    answered_in_time: int = 0
    busy: float = 0.0

    @property
    def rate(self) -> float:
        """Return the requests that were due, per second."""
        return self.due / self.seconds

    @property
    def goodput(self) -> float:
        """Return the good answers per second while the load lasted; those to a backlog come after it."""
        return self.answered_in_time / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask, and how much of it.

    Args:
        host: Name or address.
        port: TCP port.
        requests: Whole HTTP/1.1 requests, sent in turn.
        rate: Requests due per second.
        seconds: For how long.
        connections_max: Connections kept at most; further requests wait for one, and their latency counts.
        requests_limit_s: Requests whose latency grows beyond this are given up, and count as unanswered.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    rate: float
    seconds: float
    connections_max: int = 2048
    requests_limit_s: float = 30.0


def offer(load: Load) -> Offered:
    """Ask, and wait for the answers. Runs an event loop of its own in a thread of its own.

    Raises:
        OSError: No connection can be made at all.
    """
    return in_own_loop(lambda: offer_on_loop(load))


def in_own_loop(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine in a thread of its own: in a notebook, a loop runs already."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                results.append(runner.run(work()))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="load", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


async def offer_on_loop(load: Load) -> Offered:
    """Ask, on the running loop. See `offer`."""
    generator = _Generator(load)
    return await generator.run()


def arrivals(rate: float, seconds: float) -> array[float]:
    """Return when requests are due, in seconds from the start, rising: a Poisson process, always the same.

    Args:
        rate: Mean per second, above 0.
        seconds: Length of the window.
    """
    chance = random.Random(ARRIVALS_SEED)  # noqa: S311 - load, not secrets
    due = array("d")
    at = chance.expovariate(rate)
    while at < seconds:
        due.append(at)
        at += chance.expovariate(rate)
    return due


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of them lies (nearest rank); NaN for none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


class _Generator:
    """One load under way."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.offered = Offered(seconds=load.seconds)
        self.loop = asyncio.get_running_loop()
        self.idle: list[_Connection] = []
        self.open: set[_Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._due = arrivals(load.rate, load.seconds)
        self._next = 0
        self._waiting: deque[float] = deque()
        self._start = 0.0
        self._sent = 0
        self._under_way = 0
        self._done = asyncio.Event()
        self._ended = False

    async def run(self) -> Offered:
        """Offer the load."""
        await self._connect_first()
        with _Pacer(self.loop, self._tick):
            self._start = time.perf_counter()
            used = time.thread_time()
            limit = self.load.seconds + min(self.load.requests_limit_s, GRACE_S)
            try:
                async with asyncio.timeout(limit):
                    await self._done.wait()
            except TimeoutError:
                pass
            self.offered.busy = (time.thread_time() - used) / (time.perf_counter() - self._start)
        self._ended = True
        self.offered.due = len(self._due)
        answered = len(self.offered.answered_s) + len(self.offered.refused_s)
        self.offered.unanswered = len(self._due) - answered - self.offered.failed.total()
        for task in self._connecting:
            task.cancel()
        for connection in list(self.open):
            connection.abort()
        return self.offered

    async def _connect_first(self) -> None:
        """Open one connection, so that a server that is not there is an error and not a load of failures."""
        await self.loop.create_connection(lambda: _Connection(self), self.load.host, self.load.port)

    def _tick(self) -> None:
        """Send what is due."""
        now = time.perf_counter() - self._start
        due, at = self._due, self._next
        while at < len(due) and due[at] <= now:
            self._send(due[at])
            at += 1
        self._next = at
        self._look_for_end()

    def _send(self, due: float) -> None:
        if self.idle:
            self.idle.pop().send(due)
            return
        self._waiting.append(due)
        if len(self.open) + len(self._connecting) < self.load.connections_max:
            task = self.loop.create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        try:
            await self.loop.create_connection(lambda: _Connection(self), self.load.host, self.load.port)
        except OSError as error:
            if self._waiting and not self._ended:
                self._waiting.popleft()
                self.offered.failed[f"connect: {type(error).__name__}"] += 1
                self._look_for_end()

    def made(self, connection: _Connection) -> None:
        """Take a new connection."""
        self.open.add(connection)
        self.free(connection)

    def free(self, connection: _Connection) -> None:
        """Give a connection its next request, if one waits."""
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self.idle.append(connection)

    def next_request(self, due: float) -> bytes:
        """Return the next request, which is written now."""
        self.offered.late_s.append(time.perf_counter() - self._start - due)
        requests = self.load.requests
        self._sent += 1
        self._under_way += 1
        return requests[self._sent % len(requests)]

    def answer(self, due: float, status: int) -> None:
        """Note an answer."""
        self._under_way -= 1
        if self._ended:
            return
        now = time.perf_counter() - self._start
        latency = now - due
        if latency > self.load.requests_limit_s:
            self.offered.failed["too late"] += 1
        elif 200 <= status < 300:
            self.offered.answered_s.append(latency)
            self.offered.answered_in_time += now <= self.load.seconds
        elif status in REFUSALS:
            self.offered.refused_s.append(latency)
        else:
            self.offered.failed[str(status)] += 1

    def lost(self, connection: _Connection, due: float | None, reason: str) -> None:
        """Note that a connection is gone, and a request with it."""
        self.open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if due is not None:
            self._under_way -= 1
            if not self._ended:
                self.offered.failed[reason] += 1
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._next >= len(self._due) and not self._waiting and not self._under_way:
            self._done.set()


class _Connection(asyncio.Protocol):
    """One connection: at most one request under way."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._transport: asyncio.Transport | None = None
        self._due: float | None = None
        self._data = b""
        self._end = -1  # of the answer under way, in `_data`; -1: its head is not complete
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._generator.made(self)

    def send(self, due: float) -> None:
        """Send the next request, which was due at this time."""
        if self._transport is None or self._transport.is_closing():
            self._generator.offered.failed["closed before a request"] += 1
            return
        self._due = due
        self._transport.write(self._generator.next_request(due))

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data if self._data else data
        if self._end < 0:
            head = data.find(HEAD_END)
            if head < 0:
                return
            found = LENGTH.search(data, 0, head + 2)
            self._status = int(data[9:12])
            self._end = head + 4 + (int(found[1]) if found else 0)
        if len(data) < self._end:
            return
        closes = CLOSES.search(data, 0, self._end) is not None
        due, self._due, self._data, self._end = self._due, None, b"", -1
        if due is not None:
            self._generator.answer(due, self._status)
        if closes and self._transport is not None:
            self._transport.close()
        else:
            self._generator.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = f"lost: {type(exc).__name__}" if exc else "closed without an answer"
        self._generator.lost(self, self._due, reason)
        self._due = None

    def abort(self) -> None:
        """Drop it."""
        if self._transport is not None:
            self._transport.abort()


class _Pacer:
    """Wakes a loop up more often than its own timers can, from a thread that sleeps.

    Args:
        loop: To wake up.
        tick: Called on it, never twice before it ran.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: Callable[[], None]) -> None:
        self._loop = loop
        self._tick = tick
        self._asked = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pacer", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            if not self._asked:
                self._asked = True
                self._loop.call_soon_threadsafe(self._wake)
            time.sleep(PACE_S)

    def _wake(self) -> None:
        self._asked = False
        self._tick()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop

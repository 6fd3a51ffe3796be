"""Answers asynchronous requests: asks a worker for each when it is its turn, and stores what it said.

A request is forgotten only after its answer, or the reason why there is none, was stored: a process that dies
anywhere before asks again after its next start. While no worker can take it, it waits until it expires.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from modelport.control.buckets import Buckets
from modelport.domain.clock import Clock
from modelport.domain.errors import ModelportError, NotFound, Unavailable
from modelport.domain.invocations import Invocation, Place, Queued
from modelport.domain.metrics import Sample, SeriesKey, minute_of
from modelport.domain.resource import Kind
from modelport.domain.routes import AsyncRoute, RouteTable
from modelport.stores.records.invocations import InvocationQueue
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction

TOGETHER_MAX = 32
"""Requests of all endpoints that are asked at one time: each holds a thread, and its body in memory."""

RESYNC_S = 1.0
RETRY_S = 1.0
SAMPLED_S = 10.0
NAMESPACE = "AWS/SageMaker"
REASON_BYTES_MAX = 8_192
TEXT = "text/plain; charset=utf-8"

_log = structlog.get_logger("modelport.async")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker said.

    Args:
        status: Of HTTP.
        content_type: Of the body.
        body: Whole.
        message: Of an error, for people; empty where it is none.
    """

    status: int
    content_type: str
    body: bytes
    message: str = ""


class Ask(Protocol):
    """Asks a worker."""

    def __call__(self, endpoint: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
        """Return what a worker said.

        Raises:
            Unavailable: None can be asked now.
        """
        ...


class AsyncRunner:
    """Lets requests have their turn.

    Args:
        records: Where they wait.
        buckets: Where bodies and answers lie.
        artifact_path: Returns the file of a body that came with its request.
        ask: Asks a worker.
        routes: Returns the table that serves.
        clock: Time.
        body_bytes_max: Largest body that a worker takes.
        wake: Called when a request has had its turn.
    """

    def __init__(
        self,
        records: Records,
        buckets: Buckets,
        artifact_path: Callable[[str], Path],
        ask: Ask,
        routes: Callable[[], RouteTable],
        *,
        clock: Clock,
        body_bytes_max: int,
        wake: Callable[[], None],
    ) -> None:
        self._records = records
        self._buckets = buckets
        self._artifact_path = artifact_path
        self._ask = ask
        self._routes = routes
        self._clock = clock
        self._body_bytes_max = body_bytes_max
        self._wake = wake
        self._closed = False
        self._lock = threading.Lock()
        self._running: dict[int, str] = {}
        self._rests: dict[int, float] = {}  # monotonic seconds, before which one is not asked again
        self._sampled_at = clock.monotonic() - SAMPLED_S
        self._backlogs: dict[str, int] = {}

    def step(self) -> float:
        """Let those go whose turn it is; return the seconds after which to look again."""
        routes = {
            route.endpoint: route.asynchronous
            for route in self._routes().endpoints
            if route.asynchronous is not None
        }
        with self._records.reading() as tx:
            queue = InvocationQueue(tx)
            sizes = queue.sizes()
            lost = {name for name in sizes.keys() - routes.keys() if tx.find(Kind.ENDPOINT, name) is None}
            with self._lock:
                running = Counter(self._running.values())
            due = [
                (running[name] + rank, one)
                for name in sizes
                for rank, one in enumerate(self._due(queue, name, routes.get(name), lost=name in lost))
            ]
        due.sort(key=lambda pair: pair[0])  # what has the fewest on their way goes first
        for _, queued in due[: max(0, TOGETHER_MAX - running.total())]:
            is_lost = queued.invocation.endpoint in lost
            self._start(queued, "its endpoint was deleted" if is_lost else None)
        self._sample(sizes, routes)
        return RESYNC_S

    def close(self) -> None:
        """Begin and store nothing more; what is being asked is asked again after the next start."""
        self._closed = True

    def _due(
        self, queue: InvocationQueue, endpoint: str, route: AsyncRoute | None, *, lost: bool
    ) -> list[Queued]:
        """Return the requests of an endpoint that are to go now, the oldest first."""
        now = self._clock.monotonic()
        with self._lock:
            running, counts = set(self._running), Counter(self._running.values())
            resting = {number for number, until in self._rests.items() if until > now}
        together = TOGETHER_MAX if lost or route is None else route.together
        room = min(together - counts[endpoint], TOGETHER_MAX - len(running))
        found = queue.first(endpoint, limit=max(0, room) + len(running) + len(resting))
        waiting = [one for one in found if one.number not in running and one.number not in resting]
        if route is None and not lost:  # it is there and serves nothing, for the time being
            waiting = [one for one in waiting if self._is_late(one.invocation)]
        return waiting[: max(0, room)]

    def _is_late(self, invocation: Invocation) -> bool:
        return self._clock.now() >= invocation.expires_at

    def _start(self, queued: Queued, hopeless: str | None) -> None:
        with self._lock:
            self._running[queued.number] = queued.invocation.endpoint
        # Nobody waits for it when this process ends: an answer may be an hour away.
        threading.Thread(
            target=self._run, args=(queued, hopeless), name=f"async-{queued.number}", daemon=True
        ).start()

    def _run(self, queued: Queued, hopeless: str | None) -> None:
        """Give one request its turn."""
        invocation, again = queued.invocation, False
        try:
            if hopeless is None and self._is_late(invocation):
                hopeless = "its turn did not come before its RequestTTLSeconds were over"
            problem = hopeless or self._answer(invocation)
            self._forget(queued, self._told(invocation, problem))
        except Unavailable as error:
            again = True
            _log.info("async.waits", endpoint=invocation.endpoint, reason=error.message)
        except Exception:  # noqa: BLE001 - a full disk, a database that restarts: it is asked again
            again = True
            _log.exception("async.failed", endpoint=invocation.endpoint)
        finally:
            with self._lock:
                del self._running[queued.number]
                self._rests.pop(queued.number, None)
                if again:
                    self._rests[queued.number] = self._clock.monotonic() + RETRY_S
            self._wake()

    def _answer(self, invocation: Invocation) -> str | None:
        """Ask a worker and store what it said; return why there is nothing to store.

        Raises:
            Unavailable: No worker can be asked now.
        """
        try:
            body = self._read(invocation)
        except NotFound as error:
            return error.message
        if body is None:
            return f"its body is larger than {self._body_bytes_max} bytes"
        answer = self._ask(invocation.endpoint, invocation.headers or {}, body, invocation.timeout_s)
        if self._closed:
            raise Unavailable("this process ends")
        if answer.status != 200:
            return answer.message
        return self._store(invocation.output, answer.body, answer.content_type)

    def _read(self, invocation: Invocation) -> bytes | None:
        """Return the body of a request, None where it is too large.

        Raises:
            NotFound: It is not there.
        """
        if invocation.source is None:
            path = self._artifact_path(invocation.digest)
        else:
            path = self._buckets.path_of(invocation.source.bucket, invocation.source.key)
        try:
            return path.read_bytes() if path.stat().st_size <= self._body_bytes_max else None
        except FileNotFoundError as error:
            raise NotFound("its body is not there any more") from error

    def _told(self, invocation: Invocation, problem: str | None) -> str | None:
        """Store the reason why there is no answer; return it where it can be stored nowhere but in events."""
        if problem is None:
            return None
        _log.info("async.refused", endpoint=invocation.endpoint, reason=problem)
        if invocation.failure is None:
            return problem
        lost = self._store(invocation.failure, problem.encode("utf-8")[:REASON_BYTES_MAX], TEXT)
        return None if lost is None else f"{problem}; {lost}"

    def _store(self, place: Place, content: bytes, content_type: str) -> str | None:
        """Store an object; return why that can never be."""
        try:
            self._buckets.put(place.bucket, place.key, [content], headers={"content-type": content_type})
        except Unavailable:
            raise
        except ModelportError as error:
            return f"{place.url} could not be stored: {error.message}"
        return None

    def _forget(self, queued: Queued, told: str | None) -> None:
        invocation = queued.invocation
        with self._records.transaction() as tx:
            InvocationQueue(tx).remove(queued.number)
            if told is not None:
                tx.event("fail", Kind.ENDPOINT, invocation.endpoint, f"{invocation.inference_id}: {told}")

    def _sample(self, sizes: Mapping[str, int], routes: Mapping[str, AsyncRoute]) -> None:
        """Keep how long the queues are while there are any, and once more when they have become empty."""
        now = self._clock.monotonic()
        sizes = {name: sizes.get(name, 0) for name in routes if name in sizes or self._backlogs.get(name)}
        if now - self._sampled_at < SAMPLED_S or not sizes:
            return
        self._sampled_at, self._backlogs = now, dict(sizes)
        with self._records.transaction() as tx:
            _put_backlogs(tx, sizes, routes)


def _put_backlogs(tx: Transaction, sizes: Mapping[str, int], routes: Mapping[str, AsyncRoute]) -> None:
    """Source: SageMaker, "Monitor an asynchronous endpoint"."""
    minute = minute_of(tx.now.timestamp())

    def sample(endpoint: str, metric: str, value: float) -> tuple[SeriesKey, int, Sample]:
        key = SeriesKey(NAMESPACE, metric, (("EndpointName", endpoint),))
        return key, minute, Sample(1.0, value, value, value)

    MetricIndex(tx).add(
        [
            found
            for endpoint, size in sizes.items()
            for found in (
                sample(endpoint, "ApproximateBacklogSize", float(size)),
                sample(endpoint, "ApproximateBacklogSizePerInstance", size / routes[endpoint].instances),
            )
        ]
    )

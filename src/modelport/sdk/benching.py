"""Measuring an endpoint: open loads at rising rates, the knee, and the workers a target takes."""

from __future__ import annotations

import itertools
import os
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelport.access.hosts import is_loopback
from modelport.domain.errors import InvalidInput, Unavailable, Unreachable
from modelport.evaluation.capacity import (
    Knee,
    LoadPoint,
    Recommendation,
    Search,
    find_knee,
    next_rate,
    recommend,
)
from modelport.sdk.invented_rows import invent_rows
from modelport.sdk.open_loop import Load, Offered, offer, percentile
from modelport.sdk.rows import Body, encode_rows
from modelport.sdk.transport import quote

if TYPE_CHECKING:
    from modelport.sdk.endpoints import Endpoint

BODIES_MAX = 512
INVENTED = 2048
LATENCY_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What an endpoint bears.

    Args:
        endpoint: Its name.
        rows: In each request.
        workers: That were at work.
        cores: Of the server's machine; None where it is another one.
        points: Every load that was tried, in the order of their rates.
        knee: How much is carried.
        target: Requests per second that were asked for; None: nothing was.
        recommendation: How many workers that takes; None without a target.
    """

    endpoint: str
    rows: int
    workers: int
    cores: int | None
    points: tuple[LoadPoint, ...]
    knee: Knee
    target: float | None = None
    recommendation: Recommendation | None = None


def bench(
    endpoint: Endpoint,
    data: Any = None,
    *,
    rows: int = 1,
    target: float | None = None,
    p99_ms: float | None = None,
    seconds: float = 3.0,
    on_point: Callable[[LoadPoint], None] = lambda _: None,
) -> BenchReport:
    """Measure an endpoint. See `Endpoint.bench`."""
    if rows < 1 or seconds <= 0 or (target is not None and target <= 0):
        raise InvalidInput(
            f"found {rows} rows, {seconds:g} s, a target of {target}, expected numbers above 0"
        )
    bodies = _bodies(endpoint, data, rows)
    endpoint.invoke(bodies[0].content, bodies[0].content_type)  # tells what is wrong with it, if anything is
    address = urllib.parse.urlsplit(endpoint.invocation_url)
    if address.scheme != "http" or address.hostname is None:
        raise Unavailable(
            f"cannot ask {endpoint.invocation_url} by hand: only http is spoken here",
            hint="measure on the server's own machine",
        )
    requests = [_request(endpoint, address, body) for body in bodies]
    search = Search(limit_ms=p99_ms)
    points: list[LoadPoint] = []
    while (rate := next_rate(points, search)) is not None:
        load = Load(
            address.hostname,
            address.port or 80,
            requests,
            rate,
            seconds,
            requests_limit_s=LATENCY_LIMIT_S,
        )
        try:
            points.append(point_of(offer(load), rate))
        except OSError as error:
            raise Unreachable(f"{endpoint.invocation_url} does not answer any more: {error}") from error
        on_point(points[-1])
    knee = find_knee(points, search)
    workers = max(1, len(endpoint.client.status().get("workers", ())))
    cores = os.cpu_count() if is_loopback(address.hostname) else None
    advice = None
    if target is not None:
        advice = recommend(knee, points, target=target, workers=workers, cores=cores or workers)
    ordered = tuple(sorted(points, key=lambda point: point.rate))
    return BenchReport(endpoint.name, rows, workers, cores, ordered, knee, target, advice)


def point_of(offered: Offered, rate: float) -> LoadPoint:
    """Return a load's figures.

    Args:
        offered: What became of it.
        rate: That was asked for; what was due differs by chance.
    """
    return LoadPoint(
        rate=rate,
        due=offered.due,
        answered=len(offered.answered_s),
        goodput=offered.goodput,
        p50_ms=percentile(offered.answered_s, 0.5) * 1e3,
        p99_ms=percentile(offered.answered_s, 0.99) * 1e3,
        refused=len(offered.refused_s),
        failed=offered.failed.total() + offered.unanswered,
        generator=offered.busy,
    )


def _bodies(endpoint: Endpoint, data: Any, rows: int) -> list[Body]:
    """Return requests of so many rows each, as many different ones as there are rows for."""
    if data is None:
        data = invent_rows(endpoint.signature(), max(INVENTED, rows))
    count = len(data)
    if count < rows:
        raise InvalidInput(f"the data holds {count} rows, expected at least the {rows} of one request")
    bodies = []
    for start in itertools.islice(range(0, count - rows + 1, rows), BODIES_MAX):
        piece = list(encode_rows(_slice(data, start, start + rows)))
        if len(piece) > 1:
            raise InvalidInput(f"{rows} of these rows need {len(piece)} requests, expected one")
        bodies += piece
    return bodies


def _slice(data: Any, start: int, stop: int) -> Any:
    return data.iloc[start:stop] if hasattr(data, "iloc") else data[start:stop]


def _request(endpoint: Endpoint, address: urllib.parse.SplitResult, body: Body) -> bytes:
    headers: Sequence[tuple[str, str]] = [
        ("Host", address.netloc),
        ("Content-Type", body.content_type),
        ("Accept", "application/json"),
        *endpoint.client.credentials,
        ("Content-Length", str(len(body.content))),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    path = f"/endpoints/{quote(endpoint.name)}/invocations"
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body.content

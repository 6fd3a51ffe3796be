"""How much an endpoint bears: which load to try next, where its knee is, how many workers a target takes.

Pure: somebody else asks (`sdk.open_loop`). A load is *carried* when nearly every request gets a good answer
and the 99th percentile of latency stays within a limit. Below the knee queues stay short; a hair above it
they grow for as long as the load lasts, which the 99th percentile shows before anything fails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ANSWERED_SHARE = 0.99
"""Of the requests that were due; the rest may be refused or lost before a load counts as not carried."""
KNEE_FACTOR, KNEE_ROOM_MS = 3.0, 5.0
"""Without a goal, the limit is this many times the 99th percentile at the lowest load, and this much more."""
UTILISATION = 0.8
"""Share of the knee that a recommendation fills: arrivals come in bursts, and a worker may be restarting."""
GENERATOR_BUSY = 0.9
"""From this share of a core on, the generator may be what is slow."""
RATE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """What became of one load.

    Args:
        rate: Requests that were due per second.
        due: How many.
        answered: Those with a good answer, however late.
        goodput: Good answers per second while the load lasted.
        p50_ms: Median latency of good answers from when they were due, milliseconds; NaN for none.
        p99_ms: 99th percentile of the same.
        refused: 429 and 503.
        failed: Other answers, broken connections, and requests never answered.
        generator: Share of a core the generator took, 0 to 1.
    """

    rate: float
    due: int
    answered: int
    goodput: float
    p50_ms: float
    p99_ms: float
    refused: int = 0
    failed: int = 0
    generator: float = 0.0


@dataclass(frozen=True, slots=True)
class Search:
    """How the knee is looked for.

    Args:
        first: First rate, per second.
        growth: Factor between rates while all is well, above 1.
        precision: The knee is known when the lowest rate that was not carried is at most this factor above
            the highest that was; above 1.
        points_max: Loads to try, at most.
        limit_ms: Goal for the 99th percentile; None: told by the lowest load.
    """

    first: float = 50.0
    growth: float = 2.0
    precision: float = 1.15
    points_max: int = 20
    limit_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Knee:
    """How much is carried.

    Args:
        rate: Highest load that was carried, with all lower ones carried too, per second; 0: none was.
        limit_ms: What the 99th percentile had to stay within.
        found: A load beyond it was tried and not carried; otherwise the true knee lies higher.
        generator_bound: The generator, not the endpoint, may have been what could not do more.
    """

    rate: float
    limit_ms: float
    found: bool
    generator_bound: bool = False


@dataclass(frozen=True, slots=True)
class Recommendation:
    """How many workers a target takes.

    Args:
        workers: So many; 0: no number helps, since a lone request takes longer than the goal.
        each: Requests per second that one of them carries at its knee.
        fits: There are as many cores.
    """

    workers: int
    each: float
    fits: bool


def limit_of(points: Sequence[LoadPoint], search: Search) -> float:
    """Return what the 99th percentile must stay within, milliseconds; NaN before anything was answered."""
    if search.limit_ms is not None:
        return search.limit_ms
    told = [point for point in points if not math.isnan(point.p99_ms)]
    if not told:
        return math.nan
    lowest = min(told, key=lambda point: point.rate)
    return KNEE_FACTOR * lowest.p99_ms + KNEE_ROOM_MS


def carries(point: LoadPoint, limit_ms: float) -> bool:
    """Return whether a load was carried."""
    return point.answered >= ANSWERED_SHARE * point.due and point.p99_ms <= limit_ms


def next_rate(points: Sequence[LoadPoint], search: Search) -> float | None:
    """Return the load to try next; None when the knee is known well enough.

    Loads grow by a factor until one is not carried; that one is tried twice, so that one bad moment of the
    machine does not pass for the knee. Then the gap is halved on a logarithmic scale.

    Args:
        points: What was tried, in any order.
        search: How it is looked for.
    """
    if not points:
        return search.first
    if len(points) >= search.points_max:
        return None
    limit = limit_of(points, search)
    carried, broken = _bracket(points, limit)
    if broken is None:
        top = max(points, key=lambda point: point.rate)
        return None if top.generator >= GENERATOR_BUSY else top.rate * search.growth
    if sum(_same(point.rate, broken) for point in points) < 2:
        return broken
    if carried == 0.0:
        lower = broken / search.growth**2
        return lower if lower >= RATE_MIN else None
    return None if broken / carried <= search.precision else math.sqrt(broken * carried)


def find_knee(points: Sequence[LoadPoint], search: Search) -> Knee:
    """Return how much is carried, from at least one load that was tried."""
    limit = limit_of(points, search)
    carried, broken = _bracket(points, limit)
    last = [point for point in points if point.rate > carried] or [max(points, key=lambda one: one.rate)]
    busy = all(point.generator >= GENERATOR_BUSY for point in last)
    return Knee(carried, limit, broken is not None, busy)


def recommend(
    knee: Knee, points: Sequence[LoadPoint], *, target: float, workers: int, cores: int
) -> Recommendation:
    """Return how many workers carry a target, if they share its requests evenly and each has a core.

    Args:
        knee: Of the endpoint as it was measured.
        points: What was tried.
        target: Requests per second to be carried.
        workers: That were at work when it was measured, at least 1.
        cores: Of the server's machine.
    """
    each = knee.rate / workers
    lone = min((point.p99_ms for point in points if not math.isnan(point.p99_ms)), default=math.inf)
    if each <= 0.0 or lone > knee.limit_ms:
        return Recommendation(0, each, fits=False)
    needed = max(1, math.ceil(target / (UTILISATION * each)))
    return Recommendation(needed, each, needed <= cores)


def _bracket(points: Sequence[LoadPoint], limit: float) -> tuple[float, float | None]:
    """Return the highest rate that was carried with all lower ones, and the lowest that was not.

    A rate that was tried twice counts as carried when it was once.
    """
    carried = {point.rate for point in points if carries(point, limit)}
    broken = [
        point.rate
        for point in points
        if not carries(point, limit) and not any(_same(point.rate, rate) for rate in carried)
    ]
    lowest = min(broken, default=None)
    below = [rate for rate in carried if lowest is None or rate < lowest]
    return max(below, default=0.0), lowest


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=0.01)

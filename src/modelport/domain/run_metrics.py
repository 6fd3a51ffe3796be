"""What a run tells of itself while it trains: points of metrics, and what they come to.

Source: SageMaker Metrics, BatchPutMetrics and BatchGetMetrics; SageMaker, TrialComponentMetricSummary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from modelport.domain.metrics import VALUE_MAX

STATISTICS = ("Min", "Max", "Avg", "Count", "StdDev", "Last")
PERIODS_S = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}
ITERATION = "IterationNumber"


class PutError(StrEnum):
    """Why a point was not taken."""

    INVALID = "VALIDATION_ERROR"
    TOO_MANY = "METRIC_LIMIT_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Point:
    """A value that was observed.

    Args:
        at: Seconds since 1970.
        value: What it was.
        step: In which iteration, None where none was told.
    """

    at: float
    value: float
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What the points of a metric come to.

    Args:
        count: How many there are.
        mean: Their average.
        spread: Sum of their squared distances from it.
        least: The smallest.
        most: The largest.
        last: The newest; of two of the same time, the one that came later.
        last_at: When that was, in seconds since 1970.
    """

    count: int
    mean: float
    spread: float
    least: float
    most: float
    last: float
    last_at: float

    def plus(self, point: Point) -> Summary:
        """Return what it comes to with one more point, by Welford's method: it loses no digits to squares."""
        count, away = self.count + 1, point.value - self.mean
        mean = self.mean + away / count
        newer = point.at >= self.last_at
        return Summary(
            count,
            mean,
            self.spread + away * (point.value - mean),
            min(self.least, point.value),
            max(self.most, point.value),
            point.value if newer else self.last,
            point.at if newer else self.last_at,
        )

    @property
    def deviation(self) -> float:
        """Return the standard deviation of all points, which are the whole population."""
        return math.sqrt(max(self.spread, 0.0) / self.count)

    def statistic(self, name: str) -> float:
        """Return one of `STATISTICS`."""
        return {
            "Min": self.least,
            "Max": self.most,
            "Avg": self.mean,
            "Count": float(self.count),
            "StdDev": self.deviation,
            "Last": self.last,
        }[name]


def summarize(points: Iterable[Point], start: Summary | None = None) -> Summary | None:
    """Return what points come to.

    Args:
        points: In the order they came.
        start: What those before them came to.

    Returns:
        None where there is no point.
    """
    found = start
    for point in points:
        found = _first(point) if found is None else found.plus(point)
    return found


def can_be_kept(name: str, point: Point) -> bool:
    """Return whether a point is one that statistics can be made of, and its metric has a name of text."""
    return "\0" not in name and abs(point.value) <= VALUE_MAX


def by_place(points: Iterable[Point], period: str) -> Iterator[tuple[int, Summary]]:
    """Yield what the points of each place of an axis come to.

    Args:
        points: By step for `ITERATION`, else by time.
        period: `ITERATION`, or one of `PERIODS_S`.

    Returns:
        Of each place its step, or its start in seconds since 1970.
    """
    for place, some in groupby(points, lambda point: _place(point, period)):
        summary = summarize(some)
        if summary is not None:
            yield place, summary


def _place(point: Point, period: str) -> int:
    if period == ITERATION:
        return point.step or 0
    length = PERIODS_S[period]
    return int(point.at // length) * length


def _first(point: Point) -> Summary:
    return Summary(1, point.value, 0.0, point.value, point.value, point.value, point.at)

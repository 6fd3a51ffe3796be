"""Metrics over time, as CloudWatch has them: series of samples, summed by minutes.

Source: Amazon CloudWatch, concepts: a series is a namespace, a name and a set of dimensions; statistics of a
period are made of the count, sum, least and largest of what was observed in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from modelport.domain.errors import InvalidInput

MINUTE_S = 60
VALUE_MAX = 2.0**360
"""Largest value that may be put, either side of 0. Source: PutMetricData. Sums of such stay numbers."""

SAMPLE_STATISTICS = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
"""What `Sample.statistic` knows."""

POINTS_MAX = 1_440
"""Most datapoints of one answer. Source: GetMetricStatistics."""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What names a series.

    Args:
        namespace: For example `AWS/SageMaker`.
        name: For example `Invocations`.
        dimensions: Name and value of each, by name.
    """

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """What was observed in a time: how often, the sum, the least and the largest."""

    count: float
    total: float
    least: float
    most: float

    def plus(self, other: Sample) -> Sample:
        """Return both together."""
        return Sample(
            self.count + other.count,
            self.total + other.total,
            min(self.least, other.least),
            max(self.most, other.most),
        )

    def statistic(self, name: str) -> float:
        """Return a statistic: SampleCount, Sum, Average, Minimum or Maximum.

        Raises:
            InvalidInput: There is no such statistic.
        """
        match name:
            case "SampleCount":
                return self.count
            case "Sum":
                return self.total
            case "Average":
                return self.total / self.count
            case "Minimum":
                return self.least
            case "Maximum":
                return self.most
        raise InvalidInput(f"statistic {name[:40]!r} is not known", hint=", ".join(SAMPLE_STATISTICS))


@dataclass(frozen=True, slots=True)
class Reading:
    """A counter that only grows, as it was read: how often, the sum, and the range of one observation."""

    count: float
    total: float
    least: float
    most: float

    def since(self, count: float, total: float) -> Sample | None:
        """Return what came since it was read last; None: nothing. One that went back began anew."""
        if self.count < count or self.total < total:
            count = total = 0.0
        grown = Sample(self.count - count, self.total - total, self.least, self.most)
        if grown.count <= 0:
            return None
        average = grown.total / grown.count
        # Of a latency only count and sum are known: its average is as good as its least and largest.
        return grown if self.least < self.most else replace(grown, least=average, most=average)


def minute_of(at: float) -> int:
    """Return the start of the minute of a time; both in seconds since 1970."""
    return int(at // MINUTE_S) * MINUTE_S


def gather(samples: Iterable[tuple[int, Sample]], period_s: int) -> dict[int, Sample]:
    """Return samples by period.

    Args:
        samples: Start of the minute in seconds since 1970, and its sample.
        period_s: Seconds, a multiple of 60.

    Returns:
        Start of each period in which something was observed, ascending, to its sample.

    Raises:
        InvalidInput: The period is not allowed.
    """
    if period_s < MINUTE_S or period_s % MINUTE_S:
        raise InvalidInput(f"a period of {period_s} s is not allowed, expected a multiple of {MINUTE_S}")
    found: dict[int, Sample] = {}
    for minute, sample in sorted(samples, key=lambda pair: pair[0]):
        start = minute - minute % period_s
        found[start] = found[start].plus(sample) if start in found else sample
    return found

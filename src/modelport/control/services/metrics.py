"""Metrics over time: what callers put, what the data plane counted, and statistics of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelport.domain.errors import InvalidInput, Refused
from modelport.domain.metrics import POINTS_MAX, Sample, SeriesKey, gather, minute_of
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records

SERIES_MAX = 10_000
"""Of all namespaces: a program that puts a request's id into a dimension must not fill the disk."""


class MetricStore:
    """Series of samples.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, observed: Sequence[tuple[SeriesKey, float | None, Sample]]) -> None:
        """Add what callers observed.

        Args:
            observed: Series, seconds since 1970 (None: now), and what was observed.

        Raises:
            Refused: There would be too many series; nothing is added.
        """
        with self._records.transaction() as tx:
            index = MetricIndex(tx)
            keys = {key for key, _, _ in observed}
            new = keys - index.known(keys)
            if new and index.size() + len(new) > SERIES_MAX:
                raise Refused(
                    f"there would be more than {SERIES_MAX} series of metrics",
                    hint="give a metric fewer different dimensions",
                )
            now = tx.now.timestamp()
            index.add((key, minute_of(now if at is None else at), sample) for key, at, sample in observed)

    def statistics(self, key: SeriesKey, start: float, end: float, period_s: int) -> Mapping[int, Sample]:
        """Return the samples of a series by period.

        Args:
            key: Of the series; one that is not there has no samples.
            start: Seconds since 1970; periods that began before it are left out.
            end: Periods that begin then or later are left out.
            period_s: Seconds, a multiple of 60.

        Raises:
            InvalidInput: The period is not allowed, or there would be too many.
        """
        if start >= end:
            raise InvalidInput("the start must lie before the end")
        points = (end - start) / max(period_s, 1)
        if points > POINTS_MAX:
            raise InvalidInput(
                f"{points:.0f} datapoints are asked for, expected at most {POINTS_MAX}",
                hint="ask for a longer period or a shorter time",
            )
        first = int(start) - int(start) % max(period_s, 1)
        with self._records.reading() as tx:
            found = MetricIndex(tx).read(key, first, int(end))
        return gather(found, period_s)

    def series(self, namespace: str | None = None, name: str | None = None) -> list[SeriesKey]:
        """Return the series of a namespace and name, in their order; None: of all."""
        with self._records.reading() as tx:
            return MetricIndex(tx).series(namespace, name)

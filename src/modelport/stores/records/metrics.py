"""Series and their samples, within a transaction of the records."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from modelport.domain.metrics import Reading, Sample, SeriesKey
from modelport.stores.records.tables import metric_samples, metric_series
from modelport.stores.records.transaction import Transaction


class MetricIndex:
    """Reads and writes metrics.

    Args:
        tx: What it belongs to.
    """

    def __init__(self, tx: Transaction) -> None:
        self._connection = tx.connection

    def add(self, key: SeriesKey, minute: int, sample: Sample) -> None:
        """Add what was observed in a minute.

        Args:
            key: Of the series; made when it is new.
            minute: Its start, in seconds since 1970.
            sample: What was observed.
        """
        self._know(key)
        self._put(_digest(key), minute, sample)

    def follow(self, minute: int, readings: Mapping[SeriesKey, Reading]) -> None:
        """Add what came since counters were read last, wherever that was.

        Args:
            minute: In which it is counted.
            readings: Each counter as it is now.
        """
        for key, reading in readings.items():
            digest = _digest(key)
            seen = self._know(key)
            grown = reading.since(seen["seen_count"], seen["seen_total"])
            if grown is None:
                continue
            self._put(digest, minute, grown)
            self._connection.execute(
                update(metric_series)
                .where(metric_series.c.digest == digest)
                .values(seen_count=reading.count, seen_total=reading.total)
            )

    def read(self, key: SeriesKey, start: int, end: int) -> list[tuple[int, Sample]]:
        """Return the samples of minutes that begin at `start` or later and before `end`."""
        query = (
            select(metric_samples)
            .where(
                metric_samples.c.series == _digest(key),
                metric_samples.c.minute >= start,
                metric_samples.c.minute < end,
            )
            .order_by(metric_samples.c.minute)
        )
        return [(row["minute"], _sample(row)) for row in self._connection.execute(query).mappings()]

    def series(self, namespace: str | None = None, name: str | None = None) -> list[SeriesKey]:
        """Return the series of a namespace and name, in their order; None: of all."""
        query = select(metric_series)
        if namespace is not None:
            query = query.where(metric_series.c.namespace == namespace)
        if name is not None:
            query = query.where(metric_series.c.name == name)
        found = [
            SeriesKey(row["namespace"], row["name"], _dimensions(row["dimensions"]))
            for row in self._connection.execute(query).mappings()
        ]
        return sorted(found, key=lambda key: (key.namespace, key.name, key.dimensions))

    def known(self, keys: Collection[SeriesKey]) -> set[SeriesKey]:
        """Return those of some series that are there."""
        digests = {_digest(key): key for key in keys}
        query = select(metric_series.c.digest).where(metric_series.c.digest.in_(digests))
        return {digests[digest] for digest in self._connection.execute(query).scalars()}

    def size(self) -> int:
        """Return how many series there are."""
        return self._connection.execute(select(func.count()).select_from(metric_series)).scalar_one()

    def prune(self, before: int) -> None:
        """Forget the samples of minutes before a time."""
        self._connection.execute(delete(metric_samples).where(metric_samples.c.minute < before))

    def _know(self, key: SeriesKey) -> Mapping[str, Any]:
        digest = _digest(key)
        found = self._connection.execute(
            select(metric_series).where(metric_series.c.digest == digest)
        ).mappings()
        row = found.first()
        if row is not None:
            return dict(row)
        fresh = {
            "digest": digest,
            "namespace": key.namespace,
            "name": key.name,
            "dimensions": msgspec.json.encode(key.dimensions).decode(),
            "seen_count": 0.0,
            "seen_total": 0.0,
        }
        self._connection.execute(insert(metric_series).values(fresh))
        return fresh

    def _put(self, digest: str, minute: int, sample: Sample) -> None:
        place = (metric_samples.c.series == digest, metric_samples.c.minute == minute)
        row = self._connection.execute(select(metric_samples).where(*place)).mappings().first()
        if row is not None:
            sample = _sample(row).plus(sample)
            self._connection.execute(delete(metric_samples).where(*place))
        self._connection.execute(
            insert(metric_samples).values(
                series=digest,
                minute=minute,
                count=sample.count,
                total=sample.total,
                least=sample.least,
                most=sample.most,
            )
        )


def _digest(key: SeriesKey) -> str:
    return hashlib.sha256(msgspec.json.encode((key.namespace, key.name, key.dimensions))).hexdigest()


def _sample(row: Any) -> Sample:
    return Sample(row["count"], row["total"], row["least"], row["most"])


def _dimensions(text: str) -> tuple[tuple[str, str], ...]:
    return msgspec.json.decode(text, type=tuple[tuple[str, str], ...])

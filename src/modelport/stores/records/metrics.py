"""Series and their samples, within a transaction of the records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from modelport.domain.metrics import Reading, Sample, SeriesKey
from modelport.stores.records.tables import metric_samples, metric_series
from modelport.stores.records.transaction import Transaction

BATCH = 500  # names of one query


class MetricIndex:
    """Reads and writes metrics.

    Args:
        tx: What it belongs to.
    """

    def __init__(self, tx: Transaction) -> None:
        self._connection = tx.connection

    def add(self, observed: Iterable[tuple[SeriesKey, int, Sample]]) -> None:
        """Add what was observed; series that are new are made.

        Args:
            observed: Series, start of the minute in seconds since 1970, and what was observed in it.
        """
        merged: dict[tuple[SeriesKey, int], Sample] = {}
        for key, minute, sample in observed:
            there = merged.get((key, minute))
            merged[key, minute] = sample if there is None else there.plus(sample)
        self._seen({key for key, _ in merged})
        self._put({(_digest(key), minute): sample for (key, minute), sample in merged.items()})

    def follow(self, minute: int, readings: Mapping[SeriesKey, Reading]) -> None:
        """Add what came since counters were read last, wherever that was.

        Args:
            minute: In which it is counted.
            readings: Each counter as it is now.
        """
        seen = self._seen(readings)
        samples, moved = {}, []
        for key, reading in readings.items():
            digest = _digest(key)
            grown = reading.since(*seen[digest])
            if grown is not None:
                samples[digest, minute] = grown
                moved.append({"of": digest, "now_count": reading.count, "now_total": reading.total})
        self._put(samples)
        if moved:
            self._connection.execute(
                update(metric_series)
                .where(metric_series.c.digest == bindparam("of"))
                .values(seen_count=bindparam("now_count"), seen_total=bindparam("now_total")),
                moved,
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

    def known(self, keys: Iterable[SeriesKey]) -> set[SeriesKey]:
        """Return those of some series that are there."""
        digests = {_digest(key): key for key in keys}
        return {digests[digest] for digest in self._find(digests)}

    def size(self) -> int:
        """Return how many series there are."""
        return self._connection.execute(select(func.count()).select_from(metric_series)).scalar_one()

    def prune(self, before: int) -> None:
        """Forget the samples of minutes before a time."""
        self._connection.execute(delete(metric_samples).where(metric_samples.c.minute < before))

    def clear(self) -> None:
        """Forget all samples, and callers' series; how far counters were read stays known."""
        self._connection.execute(metric_samples.delete())
        of_callers = ~metric_series.c.namespace.startswith("AWS/")
        self._connection.execute(metric_series.delete().where(of_callers))

    def _seen(self, keys: Iterable[SeriesKey]) -> dict[str, tuple[float, float]]:
        """Return, by digest, count and total of each series when it was read last; make new ones."""
        digests = {_digest(key): key for key in keys}
        found = self._find(digests)
        fresh = [
            {
                "digest": digest,
                "namespace": key.namespace,
                "name": key.name,
                "dimensions": msgspec.json.encode(key.dimensions).decode(),
                "seen_count": 0.0,
                "seen_total": 0.0,
            }
            for digest, key in digests.items()
            if digest not in found
        ]
        if fresh:
            self._connection.execute(insert(metric_series), fresh)
        return {digest: found.get(digest, (0.0, 0.0)) for digest in digests}

    def _find(self, digests: Iterable[str]) -> dict[str, tuple[float, float]]:
        columns = (metric_series.c.digest, metric_series.c.seen_count, metric_series.c.seen_total)
        found: dict[str, tuple[float, float]] = {}
        for some in _in_batches(digests):
            query = select(*columns).where(metric_series.c.digest.in_(some))
            found |= {row[0]: (row[1], row[2]) for row in self._connection.execute(query)}
        return found

    def _put(self, samples: Mapping[tuple[str, int], Sample]) -> None:
        """Add samples to what there is, by series and minute."""
        for minute in {minute for _, minute in samples}:
            of_minute = {digest: sample for (digest, at), sample in samples.items() if at == minute}
            for some in _in_batches(of_minute):
                place = (metric_samples.c.minute == minute, metric_samples.c.series.in_(some))
                there = {
                    row["series"]: _sample(row)
                    for row in self._connection.execute(select(metric_samples).where(*place)).mappings()
                }
                self._connection.execute(delete(metric_samples).where(*place))
                sums = {
                    digest: there[digest].plus(of_minute[digest]) if digest in there else of_minute[digest]
                    for digest in some
                }
                rows = [
                    {"series": digest, "minute": minute, **asdict(total)} for digest, total in sums.items()
                ]
                self._connection.execute(insert(metric_samples), rows)


def _in_batches(names: Iterable[str]) -> Iterator[list[str]]:
    every = list(names)
    for start in range(0, len(every), BATCH):
        yield every[start : start + BATCH]


def _digest(key: SeriesKey) -> str:
    return hashlib.sha256(msgspec.json.encode((key.namespace, key.name, key.dimensions))).hexdigest()


def _sample(row: Any) -> Sample:
    return Sample(row["count"], row["total"], row["least"], row["most"])


def _dimensions(text: str) -> tuple[tuple[str, str], ...]:
    return msgspec.json.decode(text, type=tuple[tuple[str, str], ...])

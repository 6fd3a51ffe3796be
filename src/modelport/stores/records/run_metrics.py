"""Points of runs and their summaries, within a transaction of the records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, insert, select

from modelport.domain.run_metrics import Point, Summary, summarize
from modelport.stores.records.tables import run_metrics, run_points
from modelport.stores.records.transaction import Transaction

_SUMMARY = ("count", "mean", "spread", "least", "most", "last", "last_at")


class RunMetricIndex:
    """Reads and writes what runs told.

    Args:
        tx: What it belongs to.
    """

    def __init__(self, tx: Transaction) -> None:
        self._connection = tx.connection

    def add(self, component: str, told: Mapping[str, Sequence[Point]]) -> None:
        """Add points.

        Args:
            component: The trial component they belong to.
            told: By the name of their metric, in the order they came.
        """
        known = self.summaries(component)
        for name, points in told.items():
            before = known.get(name)
            after = summarize(points, before)
            if after is None:
                continue
            place = {"component": component, "metric": _digest(name)}
            first = before.count if before else 0
            rows = [{**place, "number": first + n, **asdict(point)} for n, point in enumerate(points)]
            self._connection.execute(insert(run_points), rows)
            self._connection.execute(
                delete(run_metrics).where(
                    run_metrics.c.component == component, run_metrics.c.metric == place["metric"]
                )
            )
            self._connection.execute(insert(run_metrics).values({**place, "name": name, **asdict(after)}))

    def summaries(self, component: str) -> dict[str, Summary]:
        """Return what the metrics of a trial component come to, by name, in its order."""
        query = select(run_metrics).where(run_metrics.c.component == component)
        found = {row["name"]: _summary(row) for row in self._connection.execute(query).mappings()}
        return dict(sorted(found.items()))

    def by_step(
        self, component: str, name: str, start: int | None = None, end: int | None = None
    ) -> Iterator[Point]:
        """Yield the points of a metric that have a step.

        Args:
            component: The trial component.
            name: Of the metric.
            start: The first step, None: without bound.
            end: The last step, None: without bound.
        """
        return self._read(component, name, run_points.c.step, (start, end))

    def by_time(
        self, component: str, name: str, start: float | None = None, end: float | None = None
    ) -> Iterator[Point]:
        """Yield the points of a metric by time; bounds in seconds since 1970, None: without."""
        return self._read(component, name, run_points.c.at, (start, end))

    def forget(self, component: str) -> None:
        """Forget what a trial component told."""
        for table in (run_points, run_metrics):
            self._connection.execute(delete(table).where(table.c.component == component))

    def _read(
        self, component: str, name: str, axis: Any, bounds: tuple[float | None, float | None]
    ) -> Iterator[Point]:
        query = select(run_points.c.at, run_points.c.value, run_points.c.step).where(
            run_points.c.component == component,
            run_points.c.metric == _digest(name),
            axis.is_not(None),
        )
        if bounds[0] is not None:
            query = query.where(axis >= bounds[0])
        if bounds[1] is not None:
            query = query.where(axis <= bounds[1])
        rows = self._connection.execute(query.order_by(axis, run_points.c.number)).mappings()
        return (Point(row["at"], row["value"], row["step"]) for row in rows)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _summary(row: Mapping[Any, Any]) -> Summary:
    return Summary(**{name: row[name] for name in _SUMMARY})

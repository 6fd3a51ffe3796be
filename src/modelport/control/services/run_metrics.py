"""Metrics of runs: points that trial components told, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Kind
from modelport.domain.run_metrics import ITERATION, Point, PutError, Summary, by_place, can_be_kept
from modelport.stores.records.records import Records
from modelport.stores.records.run_metrics import RunMetricIndex

METRICS_MAX = 1_000
"""Of a trial component: describing it shows all of them."""
POINTS_MAX = 1_000_000
"""Of a metric: a program in a loop must not fill the disk."""
PLACES_MAX = 5_000
"""Of one answer."""


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """Which values are asked for.

    Args:
        component: The trial component.
        metric: Name of the metric.
        statistic: One of `domain.run_metrics.STATISTICS`, of the points of each place.
        period: What a place of the axis is: an iteration, or a stretch of time.
        axis: `IterationNumber` or `Timestamp`.
        start: The first step, or the first second since 1970; None: without bound.
        end: The last one.
    """

    component: str
    metric: str
    statistic: str
    period: str
    axis: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """The values of a metric.

    Args:
        places: Steps, or seconds since 1970, ascending.
        values: One for each.
        cut: Whether there are more.
    """

    places: list[int]
    values: list[float]
    cut: bool


class RunMetrics:
    """Reads and writes what runs tell of themselves.

    Args:
        records: Where it is kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, component: str, told: Sequence[tuple[str, Point]]) -> list[tuple[int, PutError]]:
        """Add points to the metrics of a trial component.

        Args:
            component: Its name.
            told: Name of the metric and point, in the order they came.

        Returns:
            Which of them were not taken, and why; all of them where there is no such component.
        """
        with self._records.transaction() as tx:
            if tx.find(Kind.TRIAL_COMPONENT, component) is None:
                return [(number, PutError.INVALID) for number in range(len(told))]
            index = RunMetricIndex(tx)
            counts = {name: summary.count for name, summary in index.summaries(component).items()}
            taken: dict[str, list[Point]] = {}
            errors = []
            for number, (name, point) in enumerate(told):
                error = _refusal(name, point, counts)
                if error is not None:
                    errors.append((number, error))
                    continue
                counts[name] = counts.get(name, 0) + 1
                taken.setdefault(name, []).append(point)
            index.add(component, taken)
            return errors

    def summaries(self, component: str) -> dict[str, Summary]:
        """Return what the metrics of a trial component come to, by name."""
        with self._records.reading() as tx:
            return RunMetricIndex(tx).summaries(component)

    def read(self, query: MetricQuery) -> Curve:
        """Return the values of a metric; of one that was never told there are none.

        Raises:
            InvalidInput: The period does not belong to the axis.
            NotFound: There is no such trial component.
        """
        by_step = query.axis == ITERATION
        if by_step is not (query.period == ITERATION):
            raise InvalidInput(
                f"Period {query.period} does not belong to XAxisType {query.axis}: "
                f"{ITERATION} goes with {ITERATION}, a length of time with Timestamp"
            )
        with self._records.reading() as tx:
            tx.get(Kind.TRIAL_COMPONENT, query.component)
            index = RunMetricIndex(tx)
            read = index.by_step if by_step else index.by_time
            points = read(query.component, query.metric, query.start, query.end)
            found = list(islice(by_place(points, query.period), PLACES_MAX + 1))
        shown = found[:PLACES_MAX]
        return Curve(
            [place for place, _ in shown],
            [summary.statistic(query.statistic) for _, summary in shown],
            len(found) > PLACES_MAX,
        )


def _refusal(name: str, point: Point, counts: dict[str, int]) -> PutError | None:
    if not can_be_kept(name, point):
        return PutError.INVALID
    too_many = counts[name] >= POINTS_MAX if name in counts else len(counts) >= METRICS_MAX
    return PutError.TOO_MANY if too_many else None

"""Counts what the data plane did into metrics by minutes, under the names SageMaker gives them.

Source: "Amazon SageMaker metrics in Amazon CloudWatch": Invocations, Invocation4XXErrors and
Invocation5XXErrors are observed once for each request (an average is a rate), ModelLatency in microseconds.
Those of an inference component have its name as their only dimension; they count for its variant, too.

What was read last is kept beside the samples, in the same transaction: no request is counted twice or never,
whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from pathlib import Path

from modelport.domain.clock import Clock
from modelport.domain.metrics import Reading, SeriesKey, minute_of
from modelport.domain.resource import Kind
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records
from modelport.telemetry import metrics
from modelport.telemetry.slots import Totals

NAMESPACE = "AWS/SageMaker"
PERIOD_S = 5.0
KEPT = timedelta(days=15)
MICROSECONDS = 1_000_000
_Dimensions = tuple[tuple[str, str], ...]


class Sampler:
    """Reads the counters of all workers now and then.

    Args:
        records: Where metrics are kept.
        folder: `run/metrics`.
        read_totals: Returns the sum of all slots of the folder.
        clock: Time.
    """

    def __init__(
        self, records: Records, folder: Path, read_totals: Callable[[Path], Totals], clock: Clock
    ) -> None:
        self._records = records
        self._folder = folder
        self._read_totals = read_totals
        self._clock = clock
        self._last: dict[SeriesKey, Reading] = {}

    def look(self) -> None:
        """Add what the counters have grown by to the present minute."""
        with self._records.reading() as tx:
            components = {
                (one.spec.endpoint_name, one.spec.variant_name, one.name)
                for one in tx.all(Kind.INFERENCE_COMPONENT)
            }
        readings = read_endpoints(self._read_totals(self._folder), components)
        news = {key: reading for key, reading in readings.items() if self._last.get(key) != reading}
        if news:  # a quiet platform writes nothing
            minute = minute_of(self._clock.now().timestamp())
            with self._records.transaction() as tx:
                index = MetricIndex(tx)
                index.follow(minute, news)
                index.prune(minute - int(KEPT.total_seconds()))
            self._last = readings


def read_endpoints(totals: Totals, components: AbstractSet[tuple[str, str, str]]) -> dict[SeriesKey, Reading]:
    """Return SageMaker's metrics of all variants of all endpoints, and of all inference components.

    Args:
        totals: What all workers counted.
        components: Endpoint, variant and name of each component: its name is counted as the version.
    """
    requests: dict[_Dimensions, dict[str, float]] = {}
    latency: dict[_Dimensions, tuple[float, float]] = {}
    for (name, labels), values in totals.items():
        if name == metrics.REQUESTS:
            *place, _, code = labels
            for of in _dimensions(place, components):
                by_class = requests.setdefault(of, {})
                by_class[code[:1]] = by_class.get(code[:1], 0.0) + values[0]
        elif name == metrics.INFERENCE_DURATION:
            for of in _dimensions(labels, components):
                count, total = latency.get(of, (0.0, 0.0))
                spent = values[-1] / metrics.NANOSECONDS * MICROSECONDS
                latency[of] = (count + sum(values[:-1]), total + spent)
    found: dict[SeriesKey, Reading] = {}
    for of, by_class in requests.items():
        asked = sum(by_class.values())
        found[_key("Invocations", of)] = Reading(asked, asked, 1.0, 1.0)
        for errors in "45":
            failed = by_class.get(errors, 0.0)
            found[_key(f"Invocation{errors}XXErrors", of)] = Reading(asked, failed, 0.0, 1.0)
    for of, (count, total) in latency.items():
        found[_key("ModelLatency", of)] = Reading(count, total, 0.0, 0.0)
    return found


def _dimensions(place: Sequence[str], components: AbstractSet[tuple[str, str, str]]) -> Iterator[_Dimensions]:
    """Yield the dimensions under which what happened at a place is counted."""
    endpoint, variant, version = place
    yield (("EndpointName", endpoint), ("VariantName", variant))
    if (endpoint, variant, version) in components:
        yield (("InferenceComponentName", version),)


def _key(name: str, of: _Dimensions) -> SeriesKey:
    return SeriesKey(NAMESPACE, name, of)

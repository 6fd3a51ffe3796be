"""Samples by minutes, in every database."""

from __future__ import annotations

from modelport.control.services.metrics import MetricStore
from modelport.domain.metrics import Reading, Sample, SeriesKey
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records

KEY = SeriesKey("shop", "größe", (("a", "1"), ("b", "2")))
OTHER = SeriesKey("shop", "größe", (("a", "1"),))


def test_samples_of_a_minute_are_one(records: Records) -> None:
    store = MetricStore(records)
    store.put([(KEY, 61.0, Sample(1, 2.0, 2.0, 2.0)), (KEY, 119.9, Sample(2, 7.0, 3.0, 4.0))])
    store.put([(KEY, 120.0, Sample(1, 1.0, 1.0, 1.0)), (OTHER, 61.0, Sample(1, 9.0, 9.0, 9.0))])
    assert store.statistics(KEY, 0, 600, 60) == {60: Sample(3, 9.0, 2.0, 4.0), 120: Sample(1, 1.0, 1.0, 1.0)}
    assert store.statistics(KEY, 0, 600, 600) == {0: Sample(4, 10.0, 1.0, 4.0)}
    assert store.statistics(OTHER, 0, 600, 60) == {60: Sample(1, 9.0, 9.0, 9.0)}
    assert store.series("shop") == [OTHER, KEY]
    assert store.series("none") == []


def test_a_counter_is_followed_across_transactions(records: Records) -> None:
    for minute, count in ((60, 5.0), (120, 5.0), (180, 8.0)):
        with records.transaction() as tx:
            MetricIndex(tx).follow(minute, {KEY: Reading(count, count, 1.0, 1.0)})
    found = MetricStore(records).statistics(KEY, 0, 600, 60)
    assert {start: sample.total for start, sample in found.items()} == {60: 5.0, 180: 3.0}
    with records.transaction() as tx:
        MetricIndex(tx).prune(180)
    assert list(MetricStore(records).statistics(KEY, 0, 600, 60)) == [180]

"""Points of runs and what they come to, in every database."""

from __future__ import annotations

from modelport.domain.run_metrics import Point
from modelport.stores.records.records import Records
from modelport.stores.records.run_metrics import RunMetricIndex


def test_points_are_summed_up_as_they_come_and_read_by_both_axes(records: Records) -> None:
    first = [Point(30.0, 4.0, 1), Point(10.0, 2.0, 0)]
    with records.transaction() as tx:
        RunMetricIndex(tx).add("run", {"größe": first, "other": [Point(1.0, 1.0)]})
    with records.transaction() as tx:
        RunMetricIndex(tx).add("run", {"größe": [Point(20.0, 6.0)]})
    with records.reading() as tx:
        index = RunMetricIndex(tx)
        found = index.summaries("run")
        assert list(found) == ["größe", "other"]
        assert (found["größe"].count, found["größe"].mean, found["größe"].last) == (3, 4.0, 4.0)
        assert list(index.by_step("run", "größe")) == [first[1], first[0]]
        assert [point.at for point in index.by_time("run", "größe", 10, 20.0)] == [10.0, 20.0]
        assert list(index.by_step("run", "größe", 2**62)) == []
        assert index.summaries("another") == {}


def test_what_is_forgotten_is_gone_and_nothing_else(records: Records) -> None:
    with records.transaction() as tx:
        index = RunMetricIndex(tx)
        index.add("run", {"loss": [Point(1.0, 1.0, 0)]})
        index.add("run-2", {"loss": [Point(1.0, 1.0, 0)]})
        index.forget("run")
    with records.reading() as tx:
        index = RunMetricIndex(tx)
        assert index.summaries("run") == {}
        assert list(index.by_time("run", "loss")) == []
        assert list(index.summaries("run-2")) == ["loss"]

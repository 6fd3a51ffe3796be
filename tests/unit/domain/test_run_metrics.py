"""What points come to does not depend on how they came, and stays a number."""

from __future__ import annotations

import math
import statistics

from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.metrics import VALUE_MAX
from modelport.domain.run_metrics import STATISTICS, Point, by_place, summarize

moderate = st.floats(-1e6, 1e6)
points = st.lists(st.builds(Point, st.floats(0, 1e9), moderate, st.integers(0, 5)), min_size=1, max_size=30)


@given(points)
def test_a_summary_is_what_the_definitions_say(given_points):
    found = summarize(given_points)
    values = [point.value for point in given_points]
    assert found.count == len(values)
    assert (found.least, found.most) == (min(values), max(values))
    assert math.isclose(found.mean, statistics.fmean(values), rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(found.deviation, statistics.pstdev(values), rel_tol=1e-6, abs_tol=1e-3)
    newest = max(point.at for point in given_points)
    assert found.last == [point.value for point in given_points if point.at == newest][-1]


@given(points, st.integers(0, 30))
def test_a_summary_goes_on_where_it_stopped(given_points, cut):
    assert summarize(given_points[cut:], summarize(given_points[:cut])) == summarize(given_points)


@given(st.lists(st.floats(-VALUE_MAX, VALUE_MAX), min_size=1, max_size=20))
def test_statistics_of_the_largest_values_are_numbers(values):
    found = summarize(Point(0.0, value) for value in values)
    assert all(math.isfinite(found.statistic(name)) for name in STATISTICS)


def test_places_are_steps_or_stretches_of_time():
    told = [Point(59.0, 1.0, 0), Point(60.0, 2.0, 0), Point(301.0, 3.0, 1)]
    assert [(place, found.count) for place, found in by_place(told, "IterationNumber")] == [(0, 2), (1, 1)]
    assert [place for place, _ in by_place(told, "OneMinute")] == [0, 60, 300]
    assert [place for place, _ in by_place(told, "FiveMinute")] == [0, 300]
    assert list(by_place([], "OneHour")) == []

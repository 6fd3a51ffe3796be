"""Samples by period: nothing is lost between minutes and periods."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.metrics import Reading, Sample, gather

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5)
SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 10_000).map(lambda minute: minute * 60),
        VALUES.map(lambda values: Sample(len(values), sum(values), min(values), max(values))),
    ),
    max_size=20,
)


@given(SAMPLES, st.sampled_from([60, 300, 3600]))
def test_periods_hold_what_their_minutes_held(samples, period):
    found = gather(samples, period)
    assert list(found) == sorted(found)
    assert all(start % period == 0 for start in found)
    assert sum(sample.count for sample in found.values()) == sum(sample.count for _, sample in samples)
    for start, sample in found.items():
        inside = [each for minute, each in samples if start <= minute < start + period]
        assert sample.total == pytest.approx(sum(each.total for each in inside))
        assert (sample.least, sample.most) == (
            min(each.least for each in inside),
            max(each.most for each in inside),
        )


@given(st.lists(st.integers(0, 100), max_size=20))
def test_a_counter_is_counted_once_however_often_it_is_read(growth):
    seen, now, found = (0.0, 0.0), 0.0, 0.0
    for more in growth:
        now += more
        sample = Reading(now, now, 1.0, 1.0).since(*seen)
        found += 0.0 if sample is None else sample.total
        seen = (now, now)
    assert found == sum(growth)


@pytest.mark.parametrize("period", [0, -60, 59, 90])
def test_periods_are_whole_minutes(period):
    with pytest.raises(InvalidInput, match="multiple of 60"):
        gather([], period)

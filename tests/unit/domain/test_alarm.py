"""An alarm's state follows from its last periods: M of N, what is missing, what cannot change any more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.alarm import AlarmSpec, AlarmState, Comparison, Missing, judge, window
from modelport.domain.metrics import SAMPLE_STATISTICS, Sample

NOW = 1_000_000.0
SPEC = AlarmSpec("a", "n", "m", Comparison.GREATER, 5.0, evaluation_periods=3, period=60, statistic="Sum")
STARTS = range(window(SPEC, NOW)[0], window(SPEC, NOW)[1], 60)


def state_of(spec, *values, before=AlarmState.OK):
    """Judge an alarm by the sums of its periods, oldest first, the last one still lasting; None: nothing."""
    samples = {
        start: Sample(1, value, value, value)
        for start, value in zip(STARTS, values, strict=True)
        if value is not None
    }
    return judge(spec, samples, NOW, before)[0]


@pytest.mark.parametrize(
    ("values", "wanted", "state"),
    [
        ((9, 9, 9, None), 3, AlarmState.ALARM),
        ((9, 9, 1, None), 3, AlarmState.OK),
        ((9, 1, 9, None), 2, AlarmState.ALARM),
        ((1, 1, 1, 9), 1, AlarmState.ALARM),
        ((9, 1, 1, 1), 1, AlarmState.ALARM),
        ((9, 1, 1, 9), 2, AlarmState.OK),
        ((5, 5, 5, None), 1, AlarmState.OK),
        ((None, None, None, None), 1, AlarmState.INSUFFICIENT_DATA),
        ((None, 9, None, None), 1, AlarmState.ALARM),
        ((None, 1, None, None), 1, AlarmState.OK),
    ],
)
def test_so_many_of_the_last_periods_alarm(values, wanted, state):
    assert state_of(replace(SPEC, datapoints_to_alarm=wanted), *values) is state


@pytest.mark.parametrize(
    ("missing", "state"),
    [
        (Missing.MISSING, AlarmState.INSUFFICIENT_DATA),
        (Missing.NOT_BREACHING, AlarmState.OK),
        (Missing.BREACHING, AlarmState.ALARM),
        (Missing.IGNORE, AlarmState.ALARM),
    ],
)
def test_silence_says_what_it_is_told_to(missing, state):
    assert state_of(replace(SPEC, treat_missing_data=missing), *[None] * 4, before=AlarmState.ALARM) is state


def test_an_average_of_a_period_that_lasts_is_waited_for():
    assert state_of(replace(SPEC, statistic="Average", datapoints_to_alarm=1), 1, 1, 1, 9) is AlarmState.OK
    less = replace(SPEC, comparison_operator=Comparison.LESS, datapoints_to_alarm=1)
    assert state_of(less, 9, 9, 9, 0) is AlarmState.OK


def test_the_reason_tells_value_and_threshold():
    samples = {start: Sample(1, 9, 9, 9) for start in STARTS}
    assert judge(SPEC, samples, NOW, AlarmState.OK)[1] == (
        "3 of the last 3 datapoints breached, 3 would alarm: Sum of m was 9, 9, 9, against a threshold of 5"
    )


SPECS = st.builds(
    AlarmSpec,
    st.just("a"),
    st.just("n"),
    st.just("m"),
    st.sampled_from(Comparison),
    st.floats(-10, 10),
    st.integers(1, 6),
    st.sampled_from([60, 120, 300]),
    st.sampled_from(SAMPLE_STATISTICS),
    treat_missing_data=st.sampled_from(Missing),
)


@given(SPECS, st.data(), st.floats(1e6, 1e9))
def test_only_what_breaches_alarms_whatever_is_missing(spec, data, now):
    first, end = window(spec, now)
    assert first <= now < end
    samples = {
        start: Sample(count, value * count, value, value)
        for start in range(first, end, spec.period)
        if data.draw(st.booleans())
        for value, count in [(data.draw(st.floats(-20, 20)), data.draw(st.integers(1, 5)))]
    }
    state, reason = judge(spec, samples, now, AlarmState.OK)
    assert reason
    breached = any(_breaches(spec, sample) for sample in samples.values())
    if not breached and spec.treat_missing_data is not Missing.BREACHING:
        assert state is not AlarmState.ALARM
    if state is AlarmState.INSUFFICIENT_DATA:
        assert spec.treat_missing_data is Missing.MISSING


def _breaches(spec, sample):
    value = sample.statistic(spec.statistic)
    match spec.comparison_operator:
        case Comparison.GREATER:
            return value > spec.threshold
        case Comparison.GREATER_OR_EQUAL:
            return value >= spec.threshold
        case Comparison.LESS:
            return value < spec.threshold
    return value <= spec.threshold

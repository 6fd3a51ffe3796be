"""Alarms: a metric over time, a threshold, and the state that follows from both.

Source: Amazon CloudWatch user guide, "Using Amazon CloudWatch alarms": evaluating an alarm, M out of N, how
missing data is treated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from operator import ge, gt, le, lt
from typing import Any

from modelport.domain.metrics import Sample, SeriesKey
from modelport.domain.resource import Nothing, Resource, Tag

GROWING = ("Sum", "SampleCount", "Maximum")
"""Statistics that only grow while a period lasts: one that is too large already need not be waited for."""


class AlarmState(StrEnum):
    """What an alarm says."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Comparison(StrEnum):
    """When a value breaches a threshold."""

    GREATER_OR_EQUAL = "GreaterThanOrEqualToThreshold"
    GREATER = "GreaterThanThreshold"
    LESS = "LessThanThreshold"
    LESS_OR_EQUAL = "LessThanOrEqualToThreshold"


_BREACHES: Mapping[Comparison, Callable[[float, float], bool]] = {
    Comparison.GREATER_OR_EQUAL: ge,
    Comparison.GREATER: gt,
    Comparison.LESS: lt,
    Comparison.LESS_OR_EQUAL: le,
}


class Missing(StrEnum):
    """What a period says in which nothing was observed."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of a metric, as AWS writes it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """The wish for an alarm. `request`: as an AWS client wrote it."""

    alarm_name: str
    namespace: str
    metric_name: str
    comparison_operator: Comparison
    threshold: float
    evaluation_periods: int
    period: int
    statistic: str
    dimensions: tuple[Dimension, ...] = ()
    datapoints_to_alarm: int | None = None
    treat_missing_data: Missing = Missing.MISSING
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> SeriesKey:
        """What names its series."""
        dimensions = sorted((item.name, item.value) for item in self.dimensions)
        return SeriesKey(self.namespace, self.metric_name, tuple(dimensions))


@dataclass(frozen=True, slots=True)
class AlarmStatus:
    """What is so of an alarm.

    Args:
        state_value: Its state.
        state_reason: Why, for people.
        state_reason_data: Why, for programs: JSON that somebody gave with a state.
        state_updated_at: When it entered that state, UTC.
    """

    state_value: AlarmState
    state_reason: str
    state_reason_data: str | None = None
    state_updated_at: datetime | None = None


Alarm = Resource[AlarmSpec, AlarmStatus, Nothing]


def window(spec: AlarmSpec, now: float) -> tuple[int, int]:
    """Return the time that an alarm is judged by: the periods that have ended, and the one that lasts.

    Args:
        spec: Its wish.
        now: Seconds since 1970.

    Returns:
        Start of the first period, and end of the last, in seconds since 1970.
    """
    current = int(now // spec.period) * spec.period
    return current - spec.evaluation_periods * spec.period, current + spec.period


def judge(
    spec: AlarmSpec, samples: Mapping[int, Sample], now: float, state: AlarmState
) -> tuple[AlarmState, str]:
    """Return the state of an alarm, and why.

    Args:
        spec: Its wish.
        samples: Start of a period to what was observed in it, for the periods of `window`.
        now: Seconds since 1970.
        state: Its state so far; what is missing may leave it as it is.
    """
    first, end = window(spec, now)
    starts = list(range(first, end, spec.period))
    current = starts.pop()
    if current in samples and _is_final(spec, samples[current]):
        starts = [*starts[1:], current]
    values = [samples[start].statistic(spec.statistic) for start in starts if start in samples]
    missing = len(starts) - len(values)
    breaching = sum(_BREACHES[spec.comparison_operator](value, spec.threshold) for value in values)
    if spec.treat_missing_data is Missing.BREACHING:
        breaching += missing
    wanted = spec.datapoints_to_alarm or spec.evaluation_periods
    told = f"{breaching} of the last {len(starts)} datapoints breached, {wanted} would alarm"
    told = f"{told}: {_tell(spec, values)}"
    if breaching >= wanted:
        return AlarmState.ALARM, told
    if not values and spec.treat_missing_data is Missing.MISSING:
        return AlarmState.INSUFFICIENT_DATA, f"nothing was observed in the last {len(starts)} periods"
    if missing and spec.treat_missing_data is Missing.IGNORE and not values:
        return state, "nothing was observed, and what is missing is ignored"
    return AlarmState.OK, told


def _is_final(spec: AlarmSpec, sample: Sample) -> bool:
    """Return whether a period that still lasts breaches already, and cannot stop to."""
    upward = spec.comparison_operator in (Comparison.GREATER, Comparison.GREATER_OR_EQUAL)
    return (
        upward
        and spec.statistic in GROWING
        and _BREACHES[spec.comparison_operator](sample.statistic(spec.statistic), spec.threshold)
    )


def _tell(spec: AlarmSpec, values: list[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[-5:]) or "none"
    return f"{spec.statistic} of {spec.metric_name} was {shown}, against a threshold of {spec.threshold:g}"

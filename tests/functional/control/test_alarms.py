"""Alarms are judged by the metrics that are kept, and every change is an event."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.house import ME, House
from modelport.control.alarm_watch import PERIOD_S, AlarmWatch
from modelport.control.services.alarms import Alarms
from modelport.control.services.metrics import MetricStore
from modelport.domain.alarm import AlarmSpec, AlarmState, Comparison, Missing
from modelport.domain.metrics import Sample
from modelport.domain.resource import Kind

SPEC = AlarmSpec(
    "many errors",
    "shop",
    "errors",
    Comparison.GREATER_OR_EQUAL,
    3.0,
    evaluation_periods=1,
    period=60,
    statistic="Sum",
    treat_missing_data=Missing.NOT_BREACHING,
)


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        Alarms(built.records).put(SPEC, principal=ME)
        yield built


def judged(house: House, watch: AlarmWatch, errors: int = 0) -> AlarmState:
    """Let errors happen and time pass; return what the alarm says then."""
    if errors:
        MetricStore(house.records).put(
            [(SPEC.key, house.clock.now().timestamp(), Sample(1, errors, errors, errors))]
        )
    house.clock.turn(PERIOD_S)
    watch.look()
    (alarm,) = Alarms(house.records).list()
    return alarm.status.state_value


def test_an_alarm_follows_its_metric(house: House) -> None:
    watch = AlarmWatch(house.records, house.clock)
    assert judged(house, watch) is AlarmState.OK
    assert judged(house, watch, errors=2) is AlarmState.OK
    assert judged(house, watch, errors=1) is AlarmState.ALARM, "before the minute is over"
    house.clock.turn(120)
    assert judged(house, watch) is AlarmState.OK
    told = [
        event.message for event in house.events.list(kind=Kind.ALARM.value).items if event.verb == "status"
    ]
    assert [line.partition(":")[0] for line in told] == ["OK", "ALARM", "OK"]


def test_what_is_set_by_hand_lasts_until_the_next_judgement(house: House) -> None:
    watch = AlarmWatch(house.records, house.clock)
    judged(house, watch)
    Alarms(house.records).set_state("many errors", AlarmState.ALARM, "a drill", principal=ME)
    (alarm,) = Alarms(house.records).list()
    assert alarm.status.state_value is AlarmState.ALARM
    assert judged(house, watch) is AlarmState.OK

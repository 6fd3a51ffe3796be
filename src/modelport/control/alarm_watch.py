"""Judges the alarms now and then, by the metrics that are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from modelport.domain.alarm import Alarm, AlarmStatus, judge, window
from modelport.domain.clock import Clock
from modelport.domain.metrics import gather
from modelport.domain.resource import Kind
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records

PERIOD_S = 5.0

_log = structlog.get_logger("modelport.alarms")


class AlarmWatch:
    """Writes down which alarms say something else than before.

    Args:
        records: Where alarms and metrics are kept.
        clock: Time.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def look(self) -> None:
        """Judge all alarms."""
        with self._records.reading() as tx:
            changed = [
                found for alarm in tx.all(Kind.ALARM) if (found := self._judged(tx, alarm)) is not None
            ]
        if changed:
            self._write(changed)

    def _judged(self, tx: Any, alarm: Alarm) -> Alarm | None:
        """Return an alarm with its new state; None where that is the old one."""
        spec, now = alarm.spec, self._clock.now()
        start, end = window(spec, now.timestamp())
        samples = gather(MetricIndex(tx).read(spec.key, start, end), spec.period)
        state, reason = judge(spec, samples, now.timestamp(), alarm.status.state_value)
        if state is alarm.status.state_value:
            return None
        return replace(alarm, status=AlarmStatus(state, reason, None, now))

    def _write(self, changed: list[Alarm]) -> None:
        with self._records.transaction() as tx:
            for alarm in changed:
                current: Alarm | None = tx.find(Kind.ALARM, alarm.name)
                if current is None or current.spec != alarm.spec:
                    continue  # it is another one by now
                tx.put(replace(current, status=alarm.status))
                state, reason = alarm.status.state_value, alarm.status.state_reason
                tx.event("status", Kind.ALARM, alarm.name, f"{state.value}: {reason}")
                _log.info("alarm.changed", alarm=alarm.name, state=state.value, reason=reason)

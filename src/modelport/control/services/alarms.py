"""Alarms: made, listed, set by hand, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelport.control.services.resources import forget, make
from modelport.domain.alarm import Alarm, AlarmSpec, AlarmState, AlarmStatus
from modelport.domain.errors import InvalidInput, NotFound, Refused
from modelport.domain.metrics import MINUTE_S, SAMPLE_STATISTICS
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records

ALARMS_MAX = 5_000
WINDOW_S_MAX = 24 * 3600
"""Source: PutMetricAlarm: an alarm looks back at most a day."""


class Alarms:
    """Reads and writes alarms.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, spec: AlarmSpec, *, principal: str) -> Alarm:
        """Make an alarm, or change the one of its name, whose state stays.

        Raises:
            InvalidInput: It can never be judged.
            Refused: There would be too many.
        """
        _check(spec)
        with self._records.transaction(principal=principal) as tx:
            known: Alarm | None = tx.find(Kind.ALARM, spec.alarm_name)
            if known is not None:
                changed = replace(known, spec=spec, generation=known.generation + 1)
                tx.put(changed)
                tx.event("update", Kind.ALARM, spec.alarm_name, _describe(spec))
                return changed
            if len(tx.names(Kind.ALARM)) >= ALARMS_MAX:
                raise Refused(f"there are {ALARMS_MAX} alarms already", hint="delete some")
            status = AlarmStatus(AlarmState.INSUFFICIENT_DATA, "it was just made", None, tx.now)
            return make(tx, Kind.ALARM, spec.alarm_name, spec, status=status, told=_describe(spec))

    def list(self) -> list[Alarm]:
        """Return all alarms, by name."""
        with self._records.reading() as tx:
            return sorted(tx.all(Kind.ALARM), key=lambda alarm: alarm.name)

    def set_state(
        self, name: str, state: AlarmState, reason: str, data: str | None = None, *, principal: str
    ) -> None:
        """Let an alarm say something, until it is judged the next time.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.transaction(principal=principal) as tx:
            alarm: Alarm = tx.get(Kind.ALARM, name)
            tx.put(replace(alarm, status=AlarmStatus(state, reason, data, tx.now)))
            tx.event("status", Kind.ALARM, name, f"{state.value}: {reason}")

    def delete(self, names: Sequence[str], *, principal: str) -> None:
        """Delete alarms, all of them or none.

        Raises:
            NotFound: One of them is not there.
        """
        with self._records.transaction(principal=principal) as tx:
            known = set(tx.names(Kind.ALARM))
            for name in names:
                if name not in known:
                    raise NotFound(f"there is no alarm {name!r}")
            for name in dict.fromkeys(names):
                forget(tx, Kind.ALARM, name)


def _check(spec: AlarmSpec) -> None:
    if spec.period % MINUTE_S:
        raise InvalidInput(f"a period of {spec.period} s is not allowed, expected a multiple of {MINUTE_S}")
    if spec.statistic not in SAMPLE_STATISTICS:
        raise InvalidInput(
            f"statistic {spec.statistic[:40]!r} is not known", hint=", ".join(SAMPLE_STATISTICS)
        )
    if spec.period * spec.evaluation_periods > WINDOW_S_MAX:
        raise InvalidInput(
            f"it would look back {spec.period * spec.evaluation_periods} s, expected at most {WINDOW_S_MAX}"
        )
    if (spec.datapoints_to_alarm or 1) > spec.evaluation_periods:
        raise InvalidInput(
            f"DatapointsToAlarm is {spec.datapoints_to_alarm}, expected at most EvaluationPeriods, "
            f"which is {spec.evaluation_periods}"
        )


def _describe(spec: AlarmSpec) -> str:
    metric = f"{spec.namespace} {spec.metric_name}"
    return f"{spec.statistic} of {metric} {spec.comparison_operator} {spec.threshold:g}"

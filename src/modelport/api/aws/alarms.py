"""CloudWatch's alarms: made, described, set and deleted; `control/alarm_watch.py` judges them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.access.scopes import Scope
from modelport.api.aws.calls import ACCOUNT, Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.numbered import read_token, write_token
from modelport.domain.alarm import Alarm, AlarmSpec, AlarmState
from modelport.domain.errors import InvalidInput, NotFound, Refused
from modelport.wire.documents import from_request

PAGE = 50
NEEDED = ("MetricName", "Namespace", "Statistic", "Period", "Threshold")
"""What an alarm over one metric says; AWS's shape leaves them all out for alarms over expressions."""


def put(call: Call) -> None:
    """Make an alarm over one metric, or change it."""
    request = call.parameters
    for name in ("Metrics", "ExtendedStatistic", "ThresholdMetricId"):
        if name in request:
            raise AwsError(
                "InvalidParameterCombination", f"modelport offers no {name}: give MetricName and Statistic"
            )
    missing = [name for name in (*NEEDED, "EvaluationPeriods", "ComparisonOperator") if name not in request]
    if missing:
        raise AwsError("MissingParameter", f"the parameter {missing[0]} is missing")
    try:
        spec = from_request(AlarmSpec, request | {"Request": {}})
        call.platform.alarms.put(_with_request(spec, request), principal=call.principal.name)
    except InvalidInput as error:
        raise AwsError("ValidationError", _told(error)) from error
    except Refused as error:
        raise AwsError("LimitExceeded", _told(error)) from error


def describe(call: Call) -> dict[str, Any]:
    """Describe alarms: all, or those of some names, of a prefix, in a state."""
    asked = call.parameters
    names, prefix, state = asked.get("AlarmNames"), asked.get("AlarmNamePrefix", ""), asked.get("StateValue")
    if "MetricAlarm" not in asked.get("AlarmTypes", ["MetricAlarm"]):
        return {"MetricAlarms": []}
    found = [
        alarm
        for alarm in call.platform.alarms.list()
        if (not names or alarm.name in names)
        and alarm.name.startswith(prefix)
        and state in (None, alarm.status.state_value.value)
    ]
    start, size = read_token(asked.get("NextToken")), asked.get("MaxRecords", PAGE)
    more = start + size < len(found)
    return {
        "MetricAlarms": [_describe(call, alarm) for alarm in found[start : start + size]],
        "NextToken": write_token(start + size) if more else None,
    }


def describe_for_metric(call: Call) -> dict[str, Any]:
    """Describe the alarms over one metric."""
    asked = call.parameters
    dimensions = sorted((item["Name"], item["Value"]) for item in asked.get("Dimensions", ()))
    found = [
        alarm
        for alarm in call.platform.alarms.list()
        if (alarm.spec.namespace, alarm.spec.metric_name) == (asked["Namespace"], asked["MetricName"])
        and list(alarm.spec.key.dimensions) == dimensions
        and asked.get("Statistic") in (None, alarm.spec.statistic)
        and asked.get("Period") in (None, alarm.spec.period)
    ]
    return {"MetricAlarms": [_describe(call, alarm) for alarm in found]}


def set_state(call: Call) -> None:
    """Let an alarm say something, until it is judged the next time."""
    asked = call.parameters
    try:
        call.platform.alarms.set_state(
            asked["AlarmName"],
            AlarmState(asked["StateValue"]),
            asked["StateReason"],
            asked.get("StateReasonData"),
            principal=call.principal.name,
        )
    except NotFound as error:
        raise AwsError("ResourceNotFound", error.message, 404) from error


def delete(call: Call) -> None:
    """Delete alarms, all of them or none."""
    try:
        call.platform.alarms.delete(call.parameters["AlarmNames"], principal=call.principal.name)
    except NotFound as error:
        raise AwsError("ResourceNotFound", error.message, 404) from error


ALARMS = {
    "PutMetricAlarm": (Scope.ENDPOINTS_WRITE, put),
    "DescribeAlarms": (Scope.ENDPOINTS_READ, describe),
    "DescribeAlarmsForMetric": (Scope.ENDPOINTS_READ, describe_for_metric),
    "SetAlarmState": (Scope.ENDPOINTS_WRITE, set_state),
    "DeleteAlarms": (Scope.ENDPOINTS_WRITE, delete),
}


def _describe(call: Call, alarm: Alarm) -> dict[str, Any]:
    status = alarm.status
    return alarm.spec.request | {
        "AlarmArn": f"arn:aws:cloudwatch:{call.region}:{ACCOUNT}:alarm:{alarm.name}",
        "AlarmConfigurationUpdatedTimestamp": alarm.modified_at,
        "ActionsEnabled": alarm.spec.request.get("ActionsEnabled", True),
        "StateValue": status.state_value.value,
        "StateReason": status.state_reason,
        "StateReasonData": status.state_reason_data,
        "StateUpdatedTimestamp": status.state_updated_at,
        "StateTransitionedTimestamp": status.state_updated_at,
    }


def _with_request(spec: AlarmSpec, request: dict[str, Any]) -> AlarmSpec:
    return replace(spec, request={name: value for name, value in request.items() if name != "Tags"})


def _told(error: InvalidInput | Refused) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message

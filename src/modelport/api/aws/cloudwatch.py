"""CloudWatch's metrics: PutMetricData, GetMetricStatistics, GetMetricData, ListMetrics.

The namespace AWS/SageMaker is fed by the workers' own counters, see `control/sampler.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from modelport.access.scopes import Scope
from modelport.api.aws.alarms import ALARMS
from modelport.api.aws.calls import Call, Service
from modelport.api.aws.errors import AwsError
from modelport.api.aws.numbered import read_token, write_token
from modelport.domain.errors import InvalidInput
from modelport.domain.metrics import VALUE_MAX, Sample, SeriesKey

RESERVED = "AWS/"
LISTED_MAX = 500
SAMPLED_MAX = 150
"""Values of one datum. Source: PutMetricData."""


def put(call: Call) -> None:
    """Add what the caller observed to a series of its own."""
    namespace = call.parameters["Namespace"]
    if namespace.startswith(RESERVED):
        raise AwsError("InvalidParameterValue", f"the namespace {namespace!r} is the platform's own")
    observed = []
    for number, datum in enumerate(call.parameters.get("MetricData", ()), 1):
        at = datum["Timestamp"].timestamp() if "Timestamp" in datum else None
        observed += [(_key(namespace, datum), at, sample) for sample in _samples(datum, number)]
    call.platform.metrics_over_time.put(observed)


def get_statistics(call: Call) -> dict[str, Any]:
    """Return statistics of a series, by period."""
    asked = call.parameters
    if "ExtendedStatistics" in asked:
        raise AwsError("InvalidParameterCombination", "modelport keeps no percentiles: ask for Statistics")
    wanted = asked.get("Statistics")
    if not wanted:
        raise AwsError("MissingParameter", "the parameter Statistics is missing")
    found = _read(call, _key(asked["Namespace"], asked), asked, asked["Period"])
    return {
        "Label": asked["MetricName"],
        "Datapoints": [
            {"Timestamp": _time(start), **{name: sample.statistic(name) for name in wanted}, "Unit": "None"}
            for start, sample in found.items()
        ],
    }


def get_data(call: Call) -> dict[str, Any]:
    """Return values of several series; no expressions over them."""
    newest_first = call.parameters.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = []
    for query in call.parameters["MetricDataQueries"]:
        if not query.get("ReturnData", True):
            continue
        if "MetricStat" not in query:
            raise AwsError("ValidationError", f"query {query['Id']!r}: modelport offers MetricStat only")
        stat = query["MetricStat"]
        metric = stat["Metric"]
        key = _key(metric.get("Namespace", ""), metric)
        points = [
            (start, _statistic(sample, stat["Stat"]))
            for start, sample in _read(call, key, call.parameters, stat["Period"]).items()
        ]
        points.sort(reverse=newest_first)
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or metric.get("MetricName", ""),
                "Timestamps": [_time(start) for start, _ in points],
                "Values": [value for _, value in points],
                "StatusCode": "Complete",
            }
        )
    return {"MetricDataResults": results}


def list_metrics(call: Call) -> dict[str, Any]:
    """List the series; filters name dimensions, with or without a value."""
    asked = call.parameters
    found = [
        key
        for key in call.platform.metrics_over_time.series(asked.get("Namespace"), asked.get("MetricName"))
        if all(_has(key, wanted) for wanted in asked.get("Dimensions", ()))
    ]
    start = read_token(asked.get("NextToken"))
    shown = found[start : start + LISTED_MAX]
    more = start + LISTED_MAX < len(found)
    return {
        "Metrics": [
            {
                "Namespace": key.namespace,
                "MetricName": key.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in key.dimensions],
            }
            for key in shown
        ],
        "NextToken": write_token(start + LISTED_MAX) if more else None,
    }


CLOUDWATCH = Service(
    "monitoring",
    {
        "PutMetricData": (Scope.ENDPOINTS_WRITE, put),
        "GetMetricStatistics": (Scope.ENDPOINTS_READ, get_statistics),
        "GetMetricData": (Scope.ENDPOINTS_READ, get_data),
        "ListMetrics": (Scope.ENDPOINTS_READ, list_metrics),
        **ALARMS,
    },
)


def _key(namespace: str, metric: Mapping[str, Any]) -> SeriesKey:
    dimensions = ((item["Name"], item["Value"]) for item in metric.get("Dimensions", ()))
    return SeriesKey(namespace, metric.get("MetricName", ""), tuple(sorted(dimensions)))


def _samples(datum: Mapping[str, Any], number: int) -> list[Sample]:
    """Return what a datum observed: one value, values with their counts, or a ready summary."""
    if "StatisticValues" in datum:
        given = datum["StatisticValues"]
        found = [Sample(given["SampleCount"], given["Sum"], given["Minimum"], given["Maximum"])]
    else:
        values = datum.get("Values", [datum["Value"]] if "Value" in datum else [])
        counts = datum.get("Counts", [1.0] * len(values))
        if not values or len(values) != len(counts) or len(values) > SAMPLED_MAX:
            raise AwsError(
                "InvalidParameterCombination",
                f"MetricData.member.{number} has {len(values)} values and {len(counts)} counts, "
                f"expected 1 to {SAMPLED_MAX} of each",
            )
        pairs = zip(values, counts, strict=True)
        found = [Sample(count, value * count, value, value) for value, count in pairs]
    for sample in found:
        if sample.count < 0 or max(map(abs, astuple(sample))) > VALUE_MAX:
            raise AwsError(
                "InvalidParameterValue",
                f"MetricData.member.{number} has a value beyond {VALUE_MAX:g}, or a count below 0",
            )
    return [sample for sample in found if sample.count > 0]


def _read(call: Call, key: SeriesKey, asked: Mapping[str, Any], period: int) -> Mapping[int, Sample]:
    start, end = asked["StartTime"].timestamp(), asked["EndTime"].timestamp()
    try:
        return call.platform.metrics_over_time.statistics(key, start, end, period)
    except InvalidInput as error:
        raise AwsError("InvalidParameterValue", error.message) from error


def _statistic(sample: Sample, name: str) -> float:
    try:
        return sample.statistic(name)
    except InvalidInput as error:
        raise AwsError("ValidationError", f"{error.message}; {error.hint}") from error


def _has(key: SeriesKey, wanted: Mapping[str, Any]) -> bool:
    return any(
        name == wanted["Name"] and wanted.get("Value") in (None, value) for name, value in key.dimensions
    )


def _time(start: int) -> datetime:
    return datetime.fromtimestamp(start, UTC)

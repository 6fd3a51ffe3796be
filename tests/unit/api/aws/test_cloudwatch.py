"""boto3 against CloudWatch's metrics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.aws import code_of
from modelport.control.services.metrics import SERIES_MAX
from modelport.domain.errors import Refused
from modelport.domain.metrics import Sample, SeriesKey

START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALL = ["SampleCount", "Sum", "Average", "Minimum", "Maximum"]
OF_A = [{"Name": "Shop", "Value": "a"}]


@pytest.fixture
def cloudwatch(url):
    made = aws.client("cloudwatch", url)
    made.put_metric_data(
        Namespace="shop",
        MetricData=[
            {
                "MetricName": "sold",
                "Dimensions": OF_A,
                "Timestamp": START + timedelta(seconds=at),
                "Value": value,
            }
            for at, value in ((1, 2.0), (59, 4.0), (60, 6.0), (300, 1.0))
        ],
    )
    return made


def ask(cloudwatch, **more):
    wish = {
        "Namespace": "shop",
        "MetricName": "sold",
        "Dimensions": OF_A,
        "StartTime": START,
        "EndTime": START + HOUR,
        "Period": 60,
        "Statistics": ALL,
    }
    found = cloudwatch.get_metric_statistics(**wish | more)["Datapoints"]
    return {point["Timestamp"]: [point[name] for name in ALL if name in point] for point in found}


def test_what_was_put_is_summed_by_period(cloudwatch):
    assert ask(cloudwatch) == {
        START: [2, 6, 3, 2, 4],
        START + timedelta(minutes=1): [1, 6, 6, 6, 6],
        START + timedelta(minutes=5): [1, 1, 1, 1, 1],
    }
    assert ask(cloudwatch, Period=300, Statistics=["Sum"]) == {START: [12], START + timedelta(minutes=5): [1]}
    assert ask(cloudwatch, EndTime=START + timedelta(minutes=1), Statistics=["Sum"]) == {START: [6]}
    assert ask(cloudwatch, Dimensions=[{"Name": "Shop", "Value": "b"}]) == {}


def test_values_come_with_counts_or_as_a_summary(cloudwatch):
    at = {"MetricName": "sold", "Dimensions": OF_A, "Timestamp": START}
    cloudwatch.put_metric_data(
        Namespace="shop",
        MetricData=[
            {**at, "Values": [1.0, 10.0], "Counts": [3.0, 1.0]},
            {**at, "StatisticValues": {"SampleCount": 2, "Sum": 100, "Minimum": 20, "Maximum": 80}},
        ],
    )
    assert ask(cloudwatch)[START] == [8, 6 + 13 + 100, 119 / 8, 1, 80]


def test_several_series_are_asked_for_at_once(cloudwatch):
    metric = {"Namespace": "shop", "MetricName": "sold", "Dimensions": OF_A}
    query = {"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    found = cloudwatch.get_metric_data(
        MetricDataQueries=[query, {**query, "Id": "hidden", "ReturnData": False}],
        StartTime=START,
        EndTime=START + HOUR,
        ScanBy="TimestampAscending",
    )
    (result,) = found["MetricDataResults"]
    assert (result["Id"], result["Values"], result["StatusCode"]) == ("a", [6, 6, 1], "Complete")
    assert result["Timestamps"][0] == START
    expression = {"Id": "e", "Expression": "a*2"}
    wish = {"StartTime": START, "EndTime": START + HOUR}
    assert code_of(cloudwatch.get_metric_data, MetricDataQueries=[expression], **wish) == "ValidationError"
    percentile = {**query, "MetricStat": {**query["MetricStat"], "Stat": "p99"}}
    assert code_of(cloudwatch.get_metric_data, MetricDataQueries=[percentile], **wish) == "ValidationError"


def test_series_are_listed_by_namespace_name_and_dimensions(cloudwatch):
    cloudwatch.put_metric_data(Namespace="other", MetricData=[{"MetricName": "plain", "Value": 1.0}])
    pages = cloudwatch.get_paginator("list_metrics").paginate()
    assert [(item["Namespace"], item["MetricName"]) for page in pages for item in page["Metrics"]] == [
        ("other", "plain"),
        ("shop", "sold"),
    ]
    assert cloudwatch.list_metrics(Namespace="shop")["Metrics"][0]["Dimensions"] == OF_A
    assert cloudwatch.list_metrics(Dimensions=[{"Name": "Shop"}])["Metrics"]
    assert cloudwatch.list_metrics(Dimensions=[{"Name": "Shop", "Value": "b"}])["Metrics"] == []


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"Period": 61}, "InvalidParameterValue"),
        ({"EndTime": START}, "InvalidParameterValue"),
        ({"EndTime": START + timedelta(days=300)}, "InvalidParameterValue"),
        ({"ExtendedStatistics": ["p99"]}, "InvalidParameterCombination"),
    ],
)
def test_what_cannot_be_told_says_so(cloudwatch, wish, code):
    with pytest.raises(ClientError) as caught:
        ask(cloudwatch, **wish)
    assert caught.value.response["Error"]["Code"] == code


def test_series_without_end_are_refused(doors):
    store = doors.platform.metrics_over_time
    sample = Sample(1.0, 1.0, 1.0, 1.0)
    store.put([(SeriesKey("n", "m", (("id", str(number)),)), 0.0, sample) for number in range(SERIES_MAX)])
    store.put([(SeriesKey("n", "m", (("id", "0"),)), 0.0, sample)])
    with pytest.raises(Refused, match="more than 10000 series"):
        store.put([(SeriesKey("n", "m", (("id", "new"),)), 0.0, sample)])


def test_nobody_writes_into_the_platforms_own_namespace(cloudwatch):
    datum = {"MetricName": "Invocations", "Value": 1.0}
    assert (
        code_of(cloudwatch.put_metric_data, Namespace="AWS/SageMaker", MetricData=[datum])
        == "InvalidParameterValue"
    )
    for wild in (
        {"Value": 1e308},
        {"Values": [1.0], "Counts": [-1.0]},
        {"Values": [1e100], "Counts": [1e20]},
    ):
        assert (
            code_of(cloudwatch.put_metric_data, Namespace="shop", MetricData=[{"MetricName": "m", **wild}])
            == "InvalidParameterValue"
        )
    torn = {"MetricName": "m", "Values": [1.0], "Counts": [1.0, 2.0]}
    assert (
        code_of(cloudwatch.put_metric_data, Namespace="shop", MetricData=[torn])
        == "InvalidParameterCombination"
    )

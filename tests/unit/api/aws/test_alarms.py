"""boto3 against CloudWatch's alarms."""

from __future__ import annotations

import gzip

import pytest

from fakes import aws
from fakes.aws import code_of

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/monitoring/aws4_request, Signature=0"
WISH = {
    "AlarmName": "errors of shop/a",
    "AlarmDescription": "too many",
    "Namespace": "shop",
    "MetricName": "errors",
    "Dimensions": [{"Name": "Shop", "Value": "a"}],
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Threshold": 5.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
}


@pytest.fixture
def cloudwatch(url):
    return aws.client("cloudwatch", url)


def test_an_alarm_is_described_as_it_was_put(cloudwatch):
    cloudwatch.put_metric_alarm(**WISH)
    (found,) = cloudwatch.describe_alarms(AlarmNames=[WISH["AlarmName"]])["MetricAlarms"]
    assert {name: found[name] for name in WISH} == WISH
    assert (found["StateValue"], found["ActionsEnabled"]) == ("INSUFFICIENT_DATA", True)
    assert found["AlarmArn"] == f"arn:aws:cloudwatch:{aws.REGION}:123456789012:alarm:errors of shop/a"
    (again,) = cloudwatch.describe_alarms_for_metric(
        Namespace="shop", MetricName="errors", Dimensions=WISH["Dimensions"]
    )["MetricAlarms"]
    assert again["AlarmName"] == WISH["AlarmName"]
    assert not cloudwatch.describe_alarms_for_metric(Namespace="shop", MetricName="errors")["MetricAlarms"]


def test_a_change_keeps_the_state_and_a_state_can_be_set(cloudwatch):
    cloudwatch.put_metric_alarm(**WISH)
    cloudwatch.set_alarm_state(AlarmName=WISH["AlarmName"], StateValue="ALARM", StateReason="by hand")
    cloudwatch.put_metric_alarm(**WISH | {"Threshold": 7.0})
    (found,) = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert (found["Threshold"], found["StateReason"]) == (7.0, "by hand")
    assert not cloudwatch.describe_alarms(StateValue="OK")["MetricAlarms"]


def test_alarms_come_in_pages_and_by_prefix(cloudwatch):
    for number in range(7):
        cloudwatch.put_metric_alarm(
            **WISH | {"AlarmName": f"{'even' if number % 2 == 0 else 'odd'}-{number}"}
        )
    pages = cloudwatch.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 3})
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    assert names == ["even-0", "even-2", "even-4", "even-6", "odd-1", "odd-3", "odd-5"]
    found = cloudwatch.describe_alarms(AlarmNamePrefix="odd")["MetricAlarms"]
    assert [alarm["AlarmName"] for alarm in found] == ["odd-1", "odd-3", "odd-5"]
    assert cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["MetricAlarms"] == []


def test_alarms_are_deleted_all_or_none(cloudwatch):
    for name in ("a", "b"):
        cloudwatch.put_metric_alarm(**WISH | {"AlarmName": name})
    assert code_of(cloudwatch.delete_alarms, AlarmNames=["a", "none"]) == "ResourceNotFound"
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == 2
    cloudwatch.delete_alarms(AlarmNames=["a", "b"])
    assert not cloudwatch.describe_alarms()["MetricAlarms"]
    wish = {"AlarmName": "a", "StateValue": "OK", "StateReason": ""}
    assert code_of(cloudwatch.set_alarm_state, **wish) == "ResourceNotFound"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Statistic": None, "ExtendedStatistic": "p99"}, "InvalidParameterCombination"),
        ({"MetricName": None}, "MissingParameter"),
        ({"Threshold": None}, "MissingParameter"),
        ({"Period": 30}, "ValidationError"),
        ({"Period": 3600, "EvaluationPeriods": 25}, "ValidationError"),
        ({"DatapointsToAlarm": 4}, "ValidationError"),
        ({"TreatMissingData": "maybe"}, "ValidationError"),
    ],
)
def test_an_alarm_that_could_not_be_judged_is_refused(cloudwatch, change, code):
    wish = {name: value for name, value in (WISH | change).items() if value is not None}
    assert code_of(cloudwatch.put_metric_alarm, **wish) == code
    assert not cloudwatch.describe_alarms()["MetricAlarms"]


def test_many_metrics_at_once_are_sent_packed(cloudwatch):
    sent = []
    cloudwatch.meta.events.register("before-send.cloudwatch.*", lambda request, **_: sent.append(request))
    data = [{"MetricName": f"metric {number}" + "x" * 200, "Value": 1.0} for number in range(200)]
    cloudwatch.put_metric_data(Namespace="shop", MetricData=data)
    assert sent[0].headers["Content-Encoding"] == b"gzip"
    assert len(cloudwatch.list_metrics(Namespace="shop")["Metrics"]) == 200


def test_a_body_that_is_not_what_it_says_it_is_packed_as_is_refused(doors):
    for encoding, body in (("gzip", b"no gzip"), ("br", b"{}"), ("gzip", gzip.compress(bytes(200 << 20), 1))):
        answer = doors.client.post(
            "/",
            content=body,
            headers={
                "Authorization": AUTHORIZATION,
                "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData",
                "Content-Encoding": encoding,
            },
        )
        assert 400 <= answer.status_code < 500, answer.text

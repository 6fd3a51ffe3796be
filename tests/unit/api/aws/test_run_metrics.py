"""boto3's SageMaker Metrics: points go in, summaries and curves come out; replies are held against shapes."""

from __future__ import annotations

import json
import statistics
from datetime import UTC, datetime, timedelta

import pytest

from fakes.aws import REGION, client, code_of
from fakes.callers import ACCESS_KEY, SECRET_KEY
from modelport.api.aws.shapes import load_table

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ARN = f"arn:aws:sagemaker:{REGION}:123456789012:experiment-trial-component/train"
AUTHORIZATION = f"AWS4-HMAC-SHA256 Credential=AK/20260101/{REGION}/sagemaker/aws4_request, Signature=0"
MINUTE = int(AT.timestamp()) // 60 * 60


@pytest.fixture
def metrics(sagemaker, url):
    sagemaker.create_trial_component(TrialComponentName="train")
    return client("sagemaker-metrics", url, parameter_validation=False)


def point(value, step=None, name="loss", seconds=0):
    at = AT + timedelta(seconds=seconds)
    return {"MetricName": name, "Timestamp": at, "Value": value, **({} if step is None else {"Step": step})}


def put(metrics, *points, component="train"):
    return metrics.batch_put_metrics(TrialComponentName=component, MetricData=points).get("Errors", [])


def get(metrics, **changed):
    query = {
        "MetricName": "loss",
        "ResourceArn": ARN,
        "MetricStat": "Last",
        "Period": "IterationNumber",
        "XAxisType": "IterationNumber",
    }
    (result,) = metrics.batch_get_metrics(MetricQueries=[query | changed])["MetricQueryResults"]
    return result


def test_a_component_shows_what_its_metrics_come_to(sagemaker, metrics):
    values = [0.9, 0.5, 0.25, 0.3]
    for step, value in enumerate(values):
        assert put(metrics, point(value, step, seconds=step)) == []
    assert put(metrics, point(0.8, name="auc"), point(0.7, name="auc", seconds=-60)) == []
    auc, loss = sagemaker.describe_trial_component(TrialComponentName="train")["Metrics"]
    assert (auc["MetricName"], auc["Last"], auc["Count"]) == ("auc", 0.8, 2)
    assert (loss["Count"], loss["Min"], loss["Max"], loss["Last"]) == (4, 0.25, 0.9, 0.3)
    assert loss["Avg"] == pytest.approx(statistics.fmean(values))
    assert loss["StdDev"] == pytest.approx(statistics.pstdev(values))
    assert loss["TimeStamp"] == AT + timedelta(seconds=3)
    assert loss["SourceArn"] == ARN


def test_curves_are_read_by_iteration(metrics):
    put(metrics, *(point(value, step) for step, value in ((1, 4.0), (0, 5.0), (1, 2.0), (2, 1.0))))
    put(metrics, point(9.0))
    last = get(metrics)
    assert (last["Status"], last["XAxisValues"], last["MetricValues"]) == (
        "Complete",
        [0, 1, 2],
        [5.0, 2.0, 1.0],
    )
    assert get(metrics, MetricStat="Avg", Start=1, End=1)["MetricValues"] == [3.0]
    assert get(metrics, MetricStat="Count")["MetricValues"] == [1.0, 2.0, 1.0]
    assert get(metrics, MetricName="none")["XAxisValues"] == []


def test_curves_are_read_by_time(metrics):
    put(metrics, point(1.0), point(3.0, seconds=10), point(5.0, seconds=70))
    by_minute = {"XAxisType": "Timestamp", "Period": "OneMinute"}
    found = get(metrics, MetricStat="Avg", **by_minute)
    assert (found["XAxisValues"], found["MetricValues"]) == ([MINUTE, MINUTE + 60], [2.0, 5.0])
    assert get(metrics, MetricStat="Max", **by_minute, Start=MINUTE + 60)["MetricValues"] == [5.0]
    assert len(get(metrics, XAxisType="Timestamp", Period="OneHour")["XAxisValues"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"ResourceArn": ARN.replace("train", "none")},
        {"ResourceArn": ARN.replace("experiment-trial-component", "model")},
        {"Period": "OneMinute"},
        {"XAxisType": "Timestamp"},
    ],
)
def test_a_query_that_cannot_be_answered_says_why_and_leaves_the_others_alone(metrics, wrong):
    found = get(metrics, **wrong)
    assert (found["Status"], found["MetricValues"]) == ("ValidationError", [])
    assert found["Message"]


def test_a_point_that_cannot_be_kept_is_told_by_its_index_and_the_others_are_kept(sagemaker, metrics):
    errors = put(metrics, point(1.0), point(1e300), point(2.0, name="a\0b"), point(3.0))
    assert errors == [
        {"Code": "VALIDATION_ERROR", "MetricIndex": 1},
        {"Code": "VALIDATION_ERROR", "MetricIndex": 2},
    ]
    (loss,) = sagemaker.describe_trial_component(TrialComponentName="train")["Metrics"]
    assert loss["Count"] == 2
    assert [one["MetricIndex"] for one in put(metrics, point(1.0), point(2.0), component="none")] == [0, 1]


def test_too_many_metrics_of_one_component_are_refused(monkeypatch, metrics):
    monkeypatch.setattr("modelport.control.services.run_metrics.METRICS_MAX", 1)
    monkeypatch.setattr("modelport.control.services.run_metrics.POINTS_MAX", 2)
    errors = put(metrics, point(1.0), point(1.0, name="more"), point(2.0), point(3.0))
    assert errors == [
        {"Code": "METRIC_LIMIT_EXCEEDED", "MetricIndex": 1},
        {"Code": "METRIC_LIMIT_EXCEEDED", "MetricIndex": 3},
    ]


def test_a_long_curve_is_cut_and_says_so(monkeypatch, metrics):
    monkeypatch.setattr("modelport.control.services.run_metrics.PLACES_MAX", 2)
    put(metrics, *(point(1.0, step) for step in range(3)))
    found = get(metrics)
    assert (found["Status"], found["XAxisValues"]) == ("Truncated", [0, 1])
    assert get(metrics, Start=2)["Status"] == "Complete"


def test_metrics_go_with_their_component(sagemaker, metrics):
    put(metrics, point(1.0, 0))
    sagemaker.delete_trial_component(TrialComponentName="train")
    sagemaker.create_trial_component(TrialComponentName="train")
    assert sagemaker.describe_trial_component(TrialComponentName="train")["Metrics"] == []
    assert get(metrics)["XAxisValues"] == []
    assert put(metrics, point(2.0, 0)) == []


def test_errors_have_the_form_of_rest_json(doors, metrics):
    def ask(method, path, body, kind="application/json"):
        headers = {"Authorization": AUTHORIZATION, "Content-Type": kind}
        return doors.client.request(method, path, content=body, headers=headers)

    for method, path, body, status, code in (
        ("PUT", "/BatchPutMetrics", b"{", 400, "SerializationException"),
        ("PUT", "/BatchPutMetrics", b"{}", 400, "ValidationException"),
        ("POST", "/BatchPutMetrics", b"{}", 404, "UnknownOperationException"),
        ("PUT", "/BatchGetMetrics", b"{}", 404, "UnknownOperationException"),
    ):
        answer = ask(method, path, body)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, code)
        assert set(answer.json()) == {"message"}
        assert answer.headers["content-type"] == "application/json"
    as_form = ask("PUT", "/BatchPutMetrics", b"a=b", "application/x-www-form-urlencoded")
    assert (as_form.status_code, set(as_form.json())) == (400, {"message"})
    wrong = {"TrialComponentName": "train", "MetricData": [point(1.0) | {"MetricName": ""}]}
    assert code_of(metrics.batch_put_metrics, **wrong) == "ValidationException"


def test_who_may_only_read_puts_nothing(doors, sagemaker):
    sagemaker.create_trial_component(TrialComponentName="train")
    keys = [("app", "registry:read", ACCESS_KEY, SECRET_KEY)]
    with doors.with_tokens(("ada", "admin", "ada's token"), keys=keys) as served:
        signed = client("sagemaker-metrics", str(served.base_url), SECRET_KEY)
        wish = {"TrialComponentName": "train", "MetricData": [point(1.0)]}
        assert code_of(signed.batch_put_metrics, **wish) == "AccessDeniedException"
        assert get(signed)["Status"] == "Complete"
        wrong = client("sagemaker-metrics", str(served.base_url), "another secret")
        assert code_of(wrong.batch_put_metrics, **wish) == "InvalidSignatureException"
    assert sagemaker.describe_trial_component(TrialComponentName="train")["Metrics"] == []


def test_a_bucket_may_have_the_name_of_an_operation(s3):
    s3.create_bucket(Bucket="batchputmetrics", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="batchputmetrics", Key="BatchPutMetrics", Body=b"x")
    assert s3.get_object(Bucket="batchputmetrics", Key="BatchPutMetrics")["Body"].read() == b"x"


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 10**30, 10**400])
def test_a_number_that_its_type_does_not_hold_is_told(doors, metrics, number):
    table = load_table("sagemaker-metrics")
    method, path = table.requests["BatchPutMetrics"].split()
    for member in ("Step", "Value") if number == 10**400 else ("Step",):
        datum = {"MetricName": "loss", "Timestamp": 1, "Value": 1.0, member: number}
        answer = doors.client.request(
            method,
            path,
            content=json.dumps({"TrialComponentName": "train", "MetricData": [datum]}),
            headers={"Authorization": AUTHORIZATION},
        )
        assert answer.status_code == 400
        assert answer.headers["x-amzn-errortype"] == "SerializationException"

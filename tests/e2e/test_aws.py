"""Unmodified boto3 programs, told one URL, against a whole platform."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.archives import onnx_archive, pack
from fakes.aws import SOON, Asking, make, settled
from fakes.callers import ACCESS_KEY, SECRET_KEY, write_keys, write_tokens
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
BUCKET = "models"
ROWS = json.dumps({"instances": [[1.0, 2.0, 3.0]]})
ASKED = 400


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("aws") / "home", workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(platform):
    return aws.client("sagemaker", platform.control_url)


@pytest.fixture(scope="module")
def runtime(platform):
    return aws.client("sagemaker-runtime", platform.control_url)


@pytest.fixture(scope="module")
def archives(platform, tmp_path_factory):
    """Upload an archive for each class a model may always say, and some that cannot be served."""
    folder = tmp_path_factory.mktemp("archives")
    s3 = aws.client("s3", platform.control_url)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    content = {f"says-{winner}": onnx_archive(folder, winner) for winner in range(3)}
    content |= {"pickle": pack({"model.joblib": b"\x80\x04."}), "broken": b"\x1f\x8b no archive"}
    for name, packed in content.items():
        s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=packed)
    return lambda name: f"s3://{BUCKET}/{name}/model.tar.gz"


def ask(runtime, endpoint, **more):
    """Return the variant that answered, and the class it said."""
    reply = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=ROWS, **more)
    return reply["InvokedProductionVariant"], json.loads(reply["Body"].read())["predictions"][0]


def invocations(cloudwatch, endpoint, variant):
    """Return how many requests CloudWatch says a variant got in the last hour."""
    now = datetime.now(UTC)
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)


def test_two_variants_are_compared_updated_and_cleaned_up(sagemaker, runtime, archives, platform):
    make(sagemaker, archives, "ab", A=("says-0", 0.7), B=("says-1", 0.3))
    sagemaker.create_endpoint(EndpointName="ab", EndpointConfigName="ab")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="ab", WaiterConfig=SOON)
    answers = Counter(ask(runtime, "ab") for _ in range(ASKED))
    assert set(answers) == {("A", 0), ("B", 1)}
    assert 0.55 < answers["A", 0] / ASKED < 0.85
    assert ask(runtime, "ab", TargetVariant="B") == ("B", 1)
    direct = aws.client("sagemaker-runtime", platform.inference_url)
    assert ask(direct, "ab", TargetVariant="A") == ("A", 0), "the inference port takes the same client"

    cloudwatch = aws.client("cloudwatch", platform.control_url)
    asked = {"A": answers["A", 0] + 1, "B": answers["B", 1] + 1}
    wait_for(
        lambda: {variant: invocations(cloudwatch, "ab", variant) for variant in asked} == asked,
        30.0,
        what="the count of requests",
    )

    cloudwatch.put_metric_alarm(
        AlarmName="A is asked",
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": "EndpointName", "Value": "ab"}, {"Name": "VariantName", "Value": "A"}],
        Statistic="Sum",
        Period=3600,
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanThreshold",
    )
    wait_for(lambda: cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"], 30.0, what="an alarm")

    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ab",
        DesiredWeightsAndCapacities=[
            {"VariantName": "A", "DesiredWeight": 0},
            {"VariantName": "B", "DesiredWeight": 1, "DesiredInstanceCount": 3},
        ],
    )
    found = settled(sagemaker, "ab")
    assert {item["VariantName"]: item["CurrentWeight"] for item in found["ProductionVariants"]} == {
        "A": 0,
        "B": 1,
    }
    assert found["ProductionVariants"][1]["CurrentInstanceCount"] == 3
    assert {ask(runtime, "ab") for _ in range(20)} == {("B", 1)}

    make(sagemaker, archives, "next", B=("says-2", 1))
    sagemaker.update_endpoint(EndpointName="ab", EndpointConfigName="next", RetainAllVariantProperties=True)
    found = settled(sagemaker, "ab")
    assert found["EndpointConfigName"] == "next"
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert ask(runtime, "ab") == ("B", 2)

    # In the order of the SageMaker SDK: what the endpoint needs goes first.
    for config in ("ab", "next"):
        sagemaker.delete_endpoint_config(EndpointConfigName=config)
    for model in sagemaker.list_models(MaxResults=100)["Models"]:
        sagemaker.delete_model(ModelName=model["ModelName"])
    assert ask(runtime, "ab") == ("B", 2)
    sagemaker.delete_endpoint(EndpointName="ab")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="ab", WaiterConfig=SOON)
    with pytest.raises(ClientError) as gone:
        ask(runtime, "ab")
    assert gone.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize(
    ("archive", "told"),
    [("pickle", "no pickle is loaded on the server"), ("broken", "cannot be read"), ("none", "no object")],
)
def test_an_archive_that_cannot_be_served_fails_with_its_reason(sagemaker, archives, archive, told):
    make(sagemaker, archives, archive, A=(archive, 1))
    sagemaker.create_endpoint(EndpointName=archive, EndpointConfigName=archive)
    found = settled(sagemaker, archive)
    assert found["EndpointStatus"] == "Failed"
    assert told in found["FailureReason"]
    code = {
        "Code": "ValidationException",
        "Message": f'Cannot update failed endpoint "{found["EndpointArn"]}".',
    }
    with pytest.raises(ClientError) as caught:
        sagemaker.update_endpoint(EndpointName=archive, EndpointConfigName=archive)
    assert caught.value.response["Error"] == code
    sagemaker.delete_endpoint(EndpointName=archive)


def test_an_update_that_cannot_be_served_goes_back(sagemaker, runtime, archives):
    make(sagemaker, archives, "good", A=("says-0", 1))
    make(sagemaker, archives, "bad", A=("pickle", 1))
    sagemaker.create_endpoint(EndpointName="kept", EndpointConfigName="good")
    settled(sagemaker, "kept")
    sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="bad")
    found = settled(sagemaker, "kept")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "good")
    assert "bad-A" in found["FailureReason"]
    assert ask(runtime, "kept") == ("A", 0)


def test_a_canary_whose_alarm_fires_goes_back_without_a_failed_request(sagemaker, archives, platform):
    make(sagemaker, archives, "stable", A=("says-0", 1))
    make(sagemaker, archives, "risky", A=("says-1", 1))
    cloudwatch = aws.client("cloudwatch", platform.control_url)
    cloudwatch.put_metric_alarm(
        AlarmName="complaints",
        Namespace="shop",
        MetricName="complaints",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    sagemaker.create_endpoint(EndpointName="guarded", EndpointConfigName="stable")
    settled(sagemaker, "guarded")
    with Asking(platform.inference_url, lambda runtime: ask(runtime, "guarded")[1]) as asking:
        size = {"Type": "CAPACITY_PERCENT", "Value": 50}
        routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 600}
        sagemaker.update_endpoint(
            EndpointName="guarded",
            EndpointConfigName="risky",
            DeploymentConfig={
                "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "complaints"}]},
            },
        )
        wait_for(lambda: asking.said[1], 30.0, what="an answer of the canary")

        def moved():  # the canary answers as soon as one worker serves it, and has its share once all do
            found = sagemaker.describe_endpoint(EndpointName="guarded")
            weight = found["PendingDeploymentSummary"]["ProductionVariants"][0]["CurrentWeight"]
            return found if weight == 0.5 else None

        found = wait_for(moved, what="half of the traffic at the canary")
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", "stable")
        assert found["PendingDeploymentSummary"]["EndpointConfigName"] == "risky"
        cloudwatch.put_metric_data(Namespace="shop", MetricData=[{"MetricName": "complaints", "Value": 3.0}])
        found = settled(sagemaker, "guarded")
        time.sleep(0.2)
        asking.said.clear()
        wait_for(lambda: asking.said[0] > 20, what="more answers")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "stable")
    assert found["FailureReason"] == "the alarm 'complaints' is in ALARM"
    assert not asking.failed
    assert asking.said[1] == 0


def test_both_ports_verify_signatures_where_keys_are_configured(tmp_path):
    keys = [("app", "admin", ACCESS_KEY, SECRET_KEY)]
    files = {
        "MODELPORT_TOKEN_FILE": str(write_tokens(tmp_path / "tokens", [("ada", "admin", "token")])),
        "MODELPORT_KEY_FILE": str(write_keys(tmp_path / "keys", keys)),
    }
    with Platform(tmp_path / "home", workers=1, environment=files) as running:
        s3 = aws.client("s3", running.control_url, SECRET_KEY)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        s3.put_object(Bucket=BUCKET, Key="m.tar.gz", Body=onnx_archive(tmp_path, 2))
        sagemaker = aws.client("sagemaker", running.control_url, SECRET_KEY)
        make(sagemaker, lambda name: f"s3://{BUCKET}/{name}", "signed", A=("m.tar.gz", 1))
        sagemaker.create_endpoint(EndpointName="signed", EndpointConfigName="signed")
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="signed", WaiterConfig=SOON)
        for url in (running.control_url, running.inference_url):
            assert ask(aws.client("sagemaker-runtime", url, SECRET_KEY), "signed") == ("A", 2)
            with pytest.raises(ClientError) as caught:
                ask(aws.client("sagemaker-runtime", url, "another-secret-of-the-key"), "signed")
            assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_objects_survive_the_sudden_death_of_control(platform, archives):
    s3 = aws.client("s3", platform.control_url, retries={"total_max_attempts": 1})
    acknowledged = {}
    for number in range(60):
        content = bytes([number]) * (200_000 + number)
        if number in (10, 25, 40):
            threading.Timer(0.003, os.kill, (platform.pid("control"), signal.SIGKILL)).start()
        try:
            s3.put_object(Bucket=BUCKET, Key="same", Body=content)
            s3.put_object(Bucket=BUCKET, Key=f"many/{number}", Body=content)
        except Exception:  # noqa: BLE001 (whatever a dying server does to its client)
            time.sleep(0.1)
            continue
        acknowledged[f"many/{number}"] = acknowledged["same"] = content
    wait_for(lambda: _answers(s3), 30.0, what="control")
    for key, content in acknowledged.items():
        found = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert found == content or (key == "same" and len(set(found)) == 1)
    assert len(acknowledged) > 20


def _answers(s3):
    try:
        return bool(s3.list_buckets()["Buckets"])
    except Exception:  # noqa: BLE001 (not yet)
        return False

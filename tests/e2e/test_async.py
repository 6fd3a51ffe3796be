"""Asynchronous endpoints, as a boto3 program uses them, against a whole platform."""

from __future__ import annotations

import json
import time
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.archives import onnx_archive, script_archive
from fakes.aws import SOON
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
BUCKET = "models"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROWS = json.dumps({"instances": [[1.0, 2.0, 3.0]]}).encode()
REQUEST_TIMEOUT_S = 1.0
SLEEPS = """
import time

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    time.sleep(float(body))
    return "slept " + body
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    home = tmp_path_factory.mktemp("async") / "home"
    limits = {"MODELPORT_REQUEST_TIMEOUT_S": str(REQUEST_TIMEOUT_S)}
    with Platform(home, workers=2, environment=limits) as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(platform):
    return aws.client("sagemaker", platform.control_url)


@pytest.fixture(scope="module")
def runtime(platform):
    return aws.client("sagemaker-runtime", platform.control_url)


@pytest.fixture(scope="module")
def s3(platform):
    client = aws.client("s3", platform.control_url)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    return client


def start(sagemaker, s3, name: str, archive: bytes, image: str = "onnx") -> None:
    """Let an asynchronous endpoint of one model serve."""
    s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=archive)
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
        PrimaryContainer={"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz"},
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {"VariantName": "A", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ],
        AsyncInferenceConfig={
            "OutputConfig": {
                "S3OutputPath": f"s3://{BUCKET}/{name}/out",
                "S3FailurePath": f"s3://{BUCKET}/{name}/failed",
            },
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
        },
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=SOON)


def read(s3, url: str) -> bytes | None:
    """Return an object, None while there is none."""
    where = urlsplit(url)
    try:
        return s3.get_object(Bucket=where.netloc, Key=where.path.lstrip("/"))["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None


def wait_to_read(s3, url: str, timeout_s: float = 30.0) -> bytes:
    return wait_for(lambda: read(s3, url), timeout_s, what=url)


def test_a_model_answers_into_a_bucket_and_in_no_other_way(sagemaker, runtime, s3, platform, tmp_path):
    start(sagemaker, s3, "says", onnx_archive(tmp_path, 2))
    s3.put_object(Bucket=BUCKET, Key="in/rows.json", Body=ROWS)
    s3.put_object(Bucket=BUCKET, Key="in/bad.json", Body=b'{"instances": [[1.0, "a", 3.0]]}')
    wish = {"EndpointName": "says", "ContentType": "application/json"}
    good = runtime.invoke_endpoint_async(**wish, InputLocation=f"s3://{BUCKET}/in/rows.json")
    small = runtime.invoke_endpoint_async(**wish, Body=ROWS, Accept="text/csv")
    bad = runtime.invoke_endpoint_async(**wish, InputLocation=f"s3://{BUCKET}/in/bad.json")
    absent = runtime.invoke_endpoint_async(**wish, InputLocation=f"s3://{BUCKET}/in/none.json")
    assert json.loads(wait_to_read(s3, good["OutputLocation"]))["predictions"] == [2]
    assert wait_to_read(s3, small["OutputLocation"]).startswith(b"2,")
    assert b"row" in wait_to_read(s3, bad["FailureLocation"])
    assert b"in/none.json" in wait_to_read(s3, absent["FailureLocation"])
    assert read(s3, bad["OutputLocation"]) is None

    with pytest.raises(ClientError, match="InvokeEndpointAsync"):
        runtime.invoke_endpoint(**wish, Body=ROWS)
    direct = aws.client("sagemaker-runtime", platform.inference_url)
    with pytest.raises(ClientError, match="control port"):
        direct.invoke_endpoint_async(**wish, Body=ROWS)


def test_code_may_take_longer_than_other_requests_and_control_may_die_meanwhile(
    sagemaker, runtime, s3, platform
):
    start(sagemaker, s3, "sleeps", script_archive(SLEEPS), SKLEARN)
    wish = {"EndpointName": "sleeps", "ContentType": "text/csv"}
    slow = runtime.invoke_endpoint_async(**wish, Body=str(2 * REQUEST_TIMEOUT_S).encode())
    late = runtime.invoke_endpoint_async(**wish, Body=b"4", InvocationTimeoutSeconds=1)
    assert wait_to_read(s3, slow["OutputLocation"]) == b"slept 2.0"
    assert b"did not answer within 1 s" in wait_to_read(s3, late["FailureLocation"])

    asked = [runtime.invoke_endpoint_async(**wish, Body=f"0.{number}".encode()) for number in range(8)]
    platform.kill_process("control")
    for number, one in enumerate(asked):
        assert wait_to_read(s3, one["OutputLocation"], 60.0) == f"slept 0.{number}".encode()


def test_control_does_not_wait_for_answers_when_it_ends(runtime, s3, platform):
    asked = runtime.invoke_endpoint_async(EndpointName="sleeps", ContentType="text/csv", Body=b"5")
    time.sleep(0.5)  # it is asked by now
    assert platform.end_process("control") < 4.0
    assert wait_to_read(s3, asked["OutputLocation"], 60.0) == b"slept 5"

"""Models and asynchronous requests in an S3 of somebody else: that of another platform."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.archives import onnx_archive, script_archive
from fakes.aws import settled
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
BUCKET = "elsewhere"
ROLE = "arn:aws:iam::123456789012:role/any"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
UPPER = """
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return body.decode().upper(), "text/plain"
"""
ROWS = json.dumps({"instances": [[1.0, 1.0, 1.0]]}).encode()
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": aws.REGION}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("elsewhere") / "home", workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def s3(elsewhere, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    client = aws.client("s3", elsewhere.control_url)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    for number in range(2):
        client.put_object(Bucket=BUCKET, Key=f"all/says-{number}", Body=onnx_archive(folder, number))
    client.put_object(Bucket=BUCKET, Key="code", Body=script_archive(UPPER))
    return client


@pytest.fixture(scope="module")
def platform(tmp_path_factory, elsewhere):
    settings = {"MODELPORT_S3_ENDPOINT_URL": elsewhere.control_url, **KEYS}
    with Platform(tmp_path_factory.mktemp("here") / "home", workers=2, environment=settings) as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(platform):
    return aws.client("sagemaker", platform.control_url)


def serve(sagemaker, name, key, mode="SingleModel", **config):
    container = {"Image": SKLEARN, "ModelDataUrl": f"s3://{BUCKET}/{key}", "Mode": mode}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    item = {
        "VariantName": "A",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[item], **config)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return settled(sagemaker, name)


def says(platform, endpoint, **more):
    reply = aws.client("sagemaker-runtime", platform.inference_url).invoke_endpoint(
        EndpointName=endpoint, ContentType="application/json", Body=ROWS, **more
    )
    return json.loads(reply["Body"].read())["predictions"][0]


def test_a_model_is_read_from_there(platform, sagemaker, s3):
    assert serve(sagemaker, "one", "all/says-1")["EndpointStatus"] == "InService"
    assert says(platform, "one") == 1
    missing = serve(sagemaker, "none", "all/none")
    assert missing["EndpointStatus"] == "Failed"
    assert "there is no object s3://elsewhere/all/none" in missing["FailureReason"]


def test_models_of_a_folder_come_from_there(platform, sagemaker, s3):
    assert serve(sagemaker, "many", "all/", "MultiModel")["EndpointStatus"] == "InService"
    assert [says(platform, "many", TargetModel=f"says-{number}") for number in (0, 1, 0)] == [0, 1, 0]
    with pytest.raises(ClientError, match="Failed to download model data"):
        says(platform, "many", TargetModel="none")


def test_asynchronous_requests_read_and_write_there(platform, sagemaker, s3):
    output = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers"}}
    found = serve(sagemaker, "slow", "code", AsyncInferenceConfig=output)
    assert found["EndpointStatus"] == "InService", found.get("FailureReason")
    s3.put_object(Bucket=BUCKET, Key="asked", Body=b"hello")
    runtime = aws.client("sagemaker-runtime", platform.control_url)
    reply = runtime.invoke_endpoint_async(
        EndpointName="slow", InputLocation=f"s3://{BUCKET}/asked", ContentType="application/x-any"
    )
    key = reply["OutputLocation"].removeprefix(f"s3://{BUCKET}/")

    def answer():
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents")
        return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() if listed else None

    assert wait_for(answer, 20.0, what="the answer") == b"HELLO"


def test_an_s3_that_is_away_is_told_and_what_was_read_serves_on(platform, sagemaker, s3, elsewhere):
    says(platform, "many", TargetModel="says-0")
    elsewhere.down()
    assert says(platform, "many", TargetModel="says-0") == 0
    with pytest.raises(ClientError, match="cannot be asked"):
        says(platform, "many", TargetModel="later")
    assert sagemaker.describe_endpoint(EndpointName="many")["EndpointStatus"] == "InService"

"""Models of several containers: each gets what the one before said, and the last one answers."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.archives import onnx_archive, script_archive
from fakes.aws import SOON, code_of, settled
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
BUCKET = "models"
ROLE = "arn:aws:iam::123456789012:role/any"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
COLUMNS = """
import json

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    words = json.loads(body)["words"]
    rows = [[float(len(word)), 1.0, 1.0] for word in words]
    return json.dumps({"instances": rows}), "application/json"
"""
NAMES = """
import json

def model_fn(model_dir):
    return ["short", "long", "longest"]

def transform_fn(model, body, content_type, accept):
    names = [model[number] for number in json.loads(body)["predictions"]]
    return ",".join(names) if accept == "text/csv" else json.dumps(names)
"""
FAILS = """
def model_fn(model_dir):
    return None

def predict_fn(data, model):
    raise ValueError("row 7 is bad")
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("pipelines") / "home", workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(platform):
    return aws.client("sagemaker", platform.control_url)


@pytest.fixture(scope="module")
def containers(platform, tmp_path_factory):
    """Return a container by its name."""
    folder = tmp_path_factory.mktemp("archives")
    s3 = aws.client("s3", platform.control_url)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    archives = {
        "columns": script_archive(COLUMNS),
        "says-2": onnx_archive(folder, 2),
        "says-0": onnx_archive(folder, 0),
        "names": script_archive(NAMES),
        "fails": script_archive(FAILS),
        "broken": script_archive("raise RuntimeError('no licence')"),
    }
    for name, content in archives.items():
        s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=content)
    return lambda name: {"Image": SKLEARN, "ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz"}


def config(sagemaker, name, containers, **more):
    """Make a Model of containers, and a config of it."""
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=containers, **more)
    variant = {
        "VariantName": "A",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def ask(url, endpoint, words=("a", "bc"), **more):
    reply = aws.client("sagemaker-runtime", url).invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Body=json.dumps({"words": list(words)}),
        **more,
    )
    return reply["Body"].read(), reply["ContentType"]


def test_code_a_model_and_code_again(sagemaker, containers, platform):
    three = [containers(name) for name in ("columns", "says-2", "names")]
    config(sagemaker, "three", three, InferenceExecutionConfig={"Mode": "Serial"})
    described = sagemaker.describe_model(ModelName="three")
    assert described["Containers"] == three
    assert "PrimaryContainer" not in described
    sagemaker.create_endpoint(EndpointName="words", EndpointConfigName="three")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="words", WaiterConfig=SOON)
    for url in (platform.control_url, platform.inference_url):
        assert ask(url, "words") == (b'["longest", "longest"]', "application/json")
    assert ask(platform.control_url, "words", Accept="text/csv")[0] == b"longest,longest"
    running = [name for name in platform.table() if name.startswith("replica-words")]
    assert len(running) == 2, "one for each container of code"

    config(sagemaker, "other", [containers(name) for name in ("columns", "says-0", "names")])
    sagemaker.update_endpoint(EndpointName="words", EndpointConfigName="other")
    assert settled(sagemaker, "words")["EndpointConfigName"] == "other"
    assert ask(platform.control_url, "words")[0] == b'["short", "short"]'

    cloudwatch = aws.client("cloudwatch", platform.control_url)
    wait_for(
        lambda: cloudwatch.list_metrics(Namespace="AWS/SageMaker", MetricName="Invocations")["Metrics"],
        30.0,
        what="a metric",
    )
    found = cloudwatch.list_metrics(Namespace="AWS/SageMaker", MetricName="Invocations")["Metrics"]
    assert len(found) == 1, "a request is one, however many answer it"
    sagemaker.delete_endpoint(EndpointName="words")
    wait_for(
        lambda: not [name for name in platform.table() if name.startswith("replica-words")],
        30.0,
        what="the end of the replicas",
    )


def test_which_container_fails_is_told(sagemaker, containers, platform):
    config(sagemaker, "fails", [containers("columns"), containers("fails")])
    sagemaker.create_endpoint(EndpointName="fails", EndpointConfigName="fails")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="fails", WaiterConfig=SOON)
    with pytest.raises(ClientError, match="container 2 of 2") as caught:
        ask(platform.inference_url, "fails")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 500
    with pytest.raises(ClientError, match="container 1 of 2"):
        ask(platform.inference_url, "fails", words=[7])

    config(sagemaker, "refuses", [containers("columns"), containers("says-0")])
    sagemaker.create_endpoint(EndpointName="refuses", EndpointConfigName="refuses")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="refuses", WaiterConfig=SOON)
    with pytest.raises(ClientError, match="container 2 of 2") as caught:
        ask(platform.inference_url, "refuses", words=[])
    assert caught.value.response["OriginalStatusCode"] == 400


def test_what_cannot_serve_is_told_before_anything_serves(sagemaker, containers):
    config(sagemaker, "broken", [containers("columns"), containers("broken")])
    sagemaker.create_endpoint(EndpointName="broken", EndpointConfigName="broken")
    found = settled(sagemaker, "broken")
    assert found["EndpointStatus"] == "Failed"
    assert "no licence" in found["FailureReason"]
    nothing = {"Image": SKLEARN, "ModelDataUrl": f"s3://{BUCKET}/none/model.tar.gz"}
    config(sagemaker, "absent", [containers("columns"), nothing])
    sagemaker.create_endpoint(EndpointName="absent", EndpointConfigName="absent")
    assert "container 2" in settled(sagemaker, "absent")["FailureReason"]
    wish = {"ModelName": "m", "ExecutionRoleArn": ROLE}
    two = [containers("columns"), containers("names")]
    direct = wish | {"Containers": two, "InferenceExecutionConfig": {"Mode": "Direct"}}
    assert code_of(sagemaker.create_model, **direct) == "ValidationException"
    both = wish | {"Containers": two, "PrimaryContainer": two[0]}
    assert code_of(sagemaker.create_model, **both) == "ValidationException"
    empty = wish | {"Containers": [two[0], {}]}
    assert code_of(sagemaker.create_model, **empty) == "ValidationException"

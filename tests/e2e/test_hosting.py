"""Models that come when they are asked for: those of a folder, by their key, and serverless ones."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, WaiterError

from fakes import aws
from fakes.archives import onnx_archive, script_archive
from fakes.aws import SOON, settled
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
BUCKET = "models"
ROLE = "arn:aws:iam::123456789012:role/any"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
SAYS = """
import os

def model_fn(model_dir):
    return {word!r}

def transform_fn(model, body, content_type, accept):
    return model, "text/plain"
"""
ROWS = json.dumps({"instances": [[1.0, 1.0, 1.0]]}).encode()


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    settings = {"MODELPORT_ASKED_REPLICAS_MAX": "2", "MODELPORT_SERVERLESS_IDLE_S": "2"}
    with Platform(tmp_path_factory.mktemp("hosting") / "home", workers=2, environment=settings) as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(platform):
    return aws.client("sagemaker", platform.control_url)


@pytest.fixture(scope="module")
def s3(platform, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    client = aws.client("s3", platform.control_url)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    for number in range(3):
        archive = onnx_archive(folder, number)
        client.put_object(Bucket=BUCKET, Key=f"all/says-{number}.tar.gz", Body=archive)
    for word in ("ant", "bee", "cat"):
        archive = script_archive(SAYS.format(word=word))
        client.put_object(Bucket=BUCKET, Key=f"all/deep/{word}.tar.gz", Body=archive)
    client.put_object(Bucket=BUCKET, Key="all/torn.tar.gz", Body=b"no archive")
    client.put_object(
        Bucket=BUCKET, Key="all/fails.tar.gz", Body=script_archive("raise RuntimeError('no licence')")
    )
    return client


def serve(sagemaker, name, container, **variant):
    """Make a Model of a container, a config and an endpoint of it."""
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    item = {"VariantName": "A", "ModelName": name, **variant}
    if "ServerlessConfig" not in item:
        item |= {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[item])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=SOON)


@pytest.fixture(scope="module")
def many(sagemaker, s3):
    """An endpoint of many models."""
    container = {"Image": SKLEARN, "ModelDataUrl": f"s3://{BUCKET}/all/", "Mode": "MultiModel"}
    serve(sagemaker, "many", container)
    assert sagemaker.describe_model(ModelName="many")["PrimaryContainer"] == container
    return "many"


def ask(url, endpoint, model=None, body=ROWS):
    more = {} if model is None else {"TargetModel": model}
    reply = aws.client("sagemaker-runtime", url).invoke_endpoint(
        EndpointName=endpoint, ContentType="application/json", Body=body, **more
    )
    return reply["Body"].read()


def says(url, endpoint, model=None):
    return json.loads(ask(url, endpoint, model))["predictions"][0]


def replicas(platform, endpoint):
    return [name for name in platform.table() if name.startswith(f"replica-{endpoint}-")]


def test_each_model_answers_by_its_key(platform, many, s3):
    for url in (platform.control_url, platform.inference_url):
        for number in range(3):
            assert says(url, many, f"says-{number}.tar.gz") == number
        assert ask(url, many, "deep/ant.tar.gz") == b"ant"


def test_what_comes_later_is_there_and_many_may_wait_for_it(platform, many, s3, tmp_path):
    s3.put_object(Bucket=BUCKET, Key="all/new.tar.gz", Body=onnx_archive(tmp_path, 1))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: says(platform.inference_url, many, "new.tar.gz"), range(24)))
    assert set(answers) == {1}


def test_no_more_processes_run_than_are_allowed(platform, many, s3):
    for word in ("ant", "bee", "cat", "ant", "cat", "bee"):
        assert ask(platform.inference_url, many, f"deep/{word}.tar.gz") == word.encode()
    wait_for(lambda: len(replicas(platform, many)) == 2, what="one of three leaving")


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        (None, "ValidationError", "Target-Model"),
        (
            "none.tar.gz",
            "ValidationError",
            "Failed to download model data(bucket: models, key: all/none.tar.gz)",
        ),
        ("../other.tar.gz", "ValidationError", "Failed to download"),
        ("torn.tar.gz", "ModelError", "'torn.tar.gz' cannot be served"),
        ("fails.tar.gz", "ModelError", "no licence"),
    ],
)
def test_what_cannot_be_served_is_told(platform, many, s3, model, code, words):
    with pytest.raises(ClientError) as caught:
        ask(platform.inference_url, many, model)
    assert caught.value.response["Error"]["Code"] == code
    assert words in str(caught.value)
    assert says(platform.inference_url, many, "says-2.tar.gz") == 2


def test_what_was_asked_serves_on_while_control_is_away(platform, many, s3):
    ask(platform.inference_url, many, "says-0.tar.gz")
    platform.kill_process("control")
    assert says(platform.inference_url, many, "says-0.tar.gz") == 0
    s3.put_object(Bucket=BUCKET, Key="all/late.tar.gz", Body=script_archive(SAYS.format(word="late")))
    assert ask(platform.inference_url, many, "late.tar.gz") == b"late"


def test_an_update_of_one_model_names_none(platform, sagemaker, s3, many):
    serve(sagemaker, "single", {"Image": SKLEARN, "ModelDataUrl": f"s3://{BUCKET}/all/says-2.tar.gz"})
    with pytest.raises(ClientError, match="serves one model"):
        ask(platform.inference_url, "single", "says-1.tar.gz")
    sagemaker.update_endpoint(EndpointName="single", EndpointConfigName="many")
    assert settled(sagemaker, "single")["EndpointConfigName"] == "many"
    assert says(platform.inference_url, "single", "says-1.tar.gz") == 1
    sagemaker.update_endpoint(EndpointName="single", EndpointConfigName="single")
    settled(sagemaker, "single")
    assert says(platform.inference_url, "single") == 2


def test_a_serverless_endpoint_goes_to_sleep_and_wakes(platform, sagemaker, s3):
    container = {"Image": SKLEARN, "ModelDataUrl": f"s3://{BUCKET}/all/deep/cat.tar.gz"}
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    serve(sagemaker, "dozes", container, ServerlessConfig=serverless)
    for _ in range(2):
        assert ask(platform.inference_url, "dozes") == b"cat"
        wait_for(lambda: not replicas(platform, "dozes"), what="no process of what nobody asks")
        assert sagemaker.describe_endpoint(EndpointName="dozes")["EndpointStatus"] == "InService"
    sagemaker.delete_endpoint(EndpointName="dozes")


def test_code_that_does_not_start_fails_the_serverless_endpoint_at_once(platform, sagemaker, s3):
    with pytest.raises(WaiterError):
        serve(
            sagemaker,
            "broken",
            {"Image": SKLEARN, "ModelDataUrl": f"s3://{BUCKET}/all/fails.tar.gz"},
            ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 1},
        )
    assert "no licence" in sagemaker.describe_endpoint(EndpointName="broken")["FailureReason"]


# ── Inference components ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def shared(sagemaker, s3):
    """An endpoint whose variant holds components."""
    item = {"VariantName": "A", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="shared", ExecutionRoleArn=ROLE, ProductionVariants=[item]
    )
    sagemaker.create_endpoint(EndpointName="shared", EndpointConfigName="shared")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="shared", WaiterConfig=SOON)
    return "shared"


def specify(key):
    return {
        "Container": {"Image": SKLEARN, "ArtifactUrl": f"s3://{BUCKET}/all/{key}"},
        "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 256},
    }


def component(sagemaker, name):
    """Return a component as described, once it has come to rest."""

    def look():
        found = sagemaker.describe_inference_component(InferenceComponentName=name)
        on_its_way = ("Creating", "Updating", "Deleting")
        return None if found["InferenceComponentStatus"] in on_its_way else found

    return wait_for(look, 20.0, what=f"{name} at rest")


def ask_component(url, name):
    reply = aws.client("sagemaker-runtime", url).invoke_endpoint(
        EndpointName="shared", InferenceComponentName=name, ContentType="application/json", Body=ROWS
    )
    return reply["Body"].read()


def test_components_share_a_variant_and_change_while_the_others_serve(platform, sagemaker, shared):
    for name, key in (("one", "says-1.tar.gz"), ("bee", "deep/bee.tar.gz")):
        sagemaker.create_inference_component(
            InferenceComponentName=name,
            EndpointName="shared",
            VariantName="A",
            Specification=specify(key),
            RuntimeConfig={"CopyCount": 1},
        )
    for name in ("one", "bee"):
        found = component(sagemaker, name)
        assert found["InferenceComponentStatus"] == "InService", found.get("FailureReason")
        assert found["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}
    for url in (platform.control_url, platform.inference_url):
        assert json.loads(ask_component(url, "one"))["predictions"] == [1]
        assert ask_component(url, "bee") == b"bee"

    sagemaker.update_inference_component_runtime_config(
        InferenceComponentName="bee", DesiredRuntimeConfig={"CopyCount": 2}
    )
    assert component(sagemaker, "bee")["RuntimeConfig"]["CurrentCopyCount"] == 2
    assert len(replicas(platform, "shared")) == 2
    with aws.Asking(platform.inference_url, lambda _: ask_component(platform.inference_url, "bee")) as asking:
        sagemaker.update_inference_component(
            InferenceComponentName="bee", Specification=specify("deep/cat.tar.gz")
        )
        assert component(sagemaker, "bee")["InferenceComponentStatus"] == "InService"
        wait_for(lambda: asking.said[b"cat"] > 5, what="answers of the new one")
    assert (set(asking.said), asking.failed) == ({b"bee", b"cat"}, [])
    assert json.loads(ask_component(platform.inference_url, "one"))["predictions"] == [1]

    with pytest.raises(ClientError, match="has inference components: bee, one"):
        sagemaker.delete_endpoint(EndpointName="shared")
    sagemaker.delete_inference_component(InferenceComponentName="bee")
    wait_for(lambda: len(sagemaker.list_inference_components()["InferenceComponents"]) == 1)
    with pytest.raises(ClientError, match="no inference component 'bee'"):
        ask_component(platform.inference_url, "bee")
    wait_for(lambda: not replicas(platform, "shared"), what="no process of what is gone")

    platform.kill_process("control")
    assert json.loads(ask_component(platform.inference_url, "one"))["predictions"] == [1]
    assert component(sagemaker, "one")["InferenceComponentStatus"] == "InService"


def test_a_component_that_does_not_start_says_why(platform, sagemaker, shared):
    sagemaker.create_inference_component(
        InferenceComponentName="fails",
        EndpointName="shared",
        VariantName="A",
        Specification=specify("fails.tar.gz"),
        RuntimeConfig={"CopyCount": 1},
    )
    found = component(sagemaker, "fails")
    assert found["InferenceComponentStatus"] == "Failed"
    assert "no licence" in found["FailureReason"]
    assert sagemaker.describe_endpoint(EndpointName="shared")["EndpointStatus"] == "InService"
    sagemaker.delete_inference_component(InferenceComponentName="fails")

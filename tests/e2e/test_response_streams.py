"""InvokeEndpointWithResponseStream by either port: parts as they come, errors, and clients that go away."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from botocore.exceptions import EventStreamError

from fakes import aws
from fakes.archives import script_archive
from fakes.aws import make, settled
from fakes.platform import Platform

pytestmark = pytest.mark.processes
BUCKET = "models"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
PAUSE_S = 2.0
PARTS_MAX = 600
SCRIPT = f"""
import time

yielded = 0

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    asked = body.decode()
    return {{"parts": parts, "breaks": breaks, "long": long}}[asked]() if asked != "count" else str(yielded)

def parts():
    yield b"one"
    time.sleep({PAUSE_S})
    yield b"two"

def breaks():
    yield b"one"
    time.sleep(0.1)
    raise ValueError("the second part is bad")

def long():
    global yielded
    for yielded in range(1, {PARTS_MAX} + 1):
        yield b"a part"
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("streams") / "home", workers=1) as running:
        s3 = aws.client("s3", running.control_url)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        s3.put_object(Bucket=BUCKET, Key="says.tar.gz", Body=script_archive(SCRIPT))
        sagemaker = aws.client("sagemaker", running.control_url)
        make(sagemaker, lambda name: f"s3://{BUCKET}/{name}.tar.gz", "says", SKLEARN, A=("says", 1))
        sagemaker.create_endpoint(EndpointName="says", EndpointConfigName="says")
        assert settled(sagemaker, "says")["EndpointStatus"] == "InService"
        yield running


@pytest.fixture(params=["control", "inference"])
def runtime(platform, request):
    url = platform.control_url if request.param == "control" else platform.inference_url
    return aws.client("sagemaker-runtime", url)


def begin(runtime, asked):
    reply = runtime.invoke_endpoint_with_response_stream(
        EndpointName="says", ContentType="text/plain", Body=asked.encode()
    )
    assert reply["InvokedProductionVariant"] == "A"
    return closing(reply["Body"])


def test_parts_arrive_when_they_are_made(runtime):
    with begin(runtime, "parts") as events:
        came = [(event["PayloadPart"]["Bytes"], time.monotonic()) for event in events]
    assert [part for part, _ in came] == [b"one", b"two"]
    assert came[1][1] - came[0][1] > PAUSE_S / 2


def test_an_error_between_parts_is_an_exception_of_the_stream(runtime):
    with begin(runtime, "breaks") as stream:
        events = iter(stream)
        assert next(events)["PayloadPart"]["Bytes"] == b"one"
        with pytest.raises(EventStreamError, match="ModelStreamError"):
            next(events)


def test_work_for_a_client_that_goes_away_ends(runtime):
    with begin(runtime, "long") as events:
        next(iter(events))
    # The replica does one thing at a time: this has its turn when the other is over.
    reply = runtime.invoke_endpoint(EndpointName="says", ContentType="text/plain", Body=b"count")
    with closing(reply["Body"]) as body:
        assert 1 <= int(body.read()) < PARTS_MAX / 2

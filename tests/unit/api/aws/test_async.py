"""boto3 against InvokeEndpointAsync: what is taken in, and what is refused."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.aws import BUCKET, code_of
from fakes.doors import Doors
from modelport.domain.routes import AsyncRoute, EndpointRoute, RouteTable, VariantRoute
from modelport.stores.records.invocations import InvocationQueue

OUTPUT, FAILURE = f"s3://{BUCKET}/out/", f"s3://{BUCKET}/failed"
VARIANTS = (VariantRoute("A", "m:1", "d" * 64),)
WISH = {
    "EndpointName": "slow",
    "InputLocation": f"s3://{BUCKET}/in/1.json",
    "ContentType": "application/json",
}


@pytest.fixture
def runtime(doors, bucket, url):
    serve(doors)
    return aws.client("sagemaker-runtime", url)


def serve(doors: Doors, output: str = OUTPUT, failure: str | None = FAILURE) -> None:
    """Let one asynchronous endpoint serve, and one that is not."""
    slow = EndpointRoute("slow", VARIANTS, asynchronous=AsyncRoute(output, failure))
    doors.routes = RouteTable(1, (slow, EndpointRoute("quick", VARIANTS)))


def queued(doors: Doors) -> list:
    with doors.records.reading() as tx:
        return [one.invocation for one in InvocationQueue(tx).first("slow", 100)]


def test_a_request_is_kept_with_everything_it_says(doors, runtime):
    reply = runtime.invoke_endpoint_async(
        **WISH,
        Accept="text/csv",
        CustomAttributes="a=b",
        InferenceId="mine",
        RequestTTLSeconds=60,
        InvocationTimeoutSeconds=1,
    )
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert reply["InferenceId"] == "mine"
    assert reply["OutputLocation"].startswith(OUTPUT)
    assert reply["OutputLocation"].endswith(".out")
    assert reply["FailureLocation"].startswith(f"{FAILURE}/")
    (kept,) = queued(doors)
    assert (kept.output.url, kept.failure.url) == (reply["OutputLocation"], reply["FailureLocation"])
    assert (kept.source.bucket, kept.source.key, kept.timeout_s) == (BUCKET, "in/1.json", 1)
    assert kept.headers == {
        "content-type": "application/json",
        "accept": "text/csv",
        "x-amzn-sagemaker-custom-attributes": "a=b",
        "x-amzn-sagemaker-inference-id": "mine",
    }


def test_each_request_gets_a_name_and_places_of_its_own(doors, runtime):
    first, second = (runtime.invoke_endpoint_async(**WISH) for _ in range(2))
    assert first["InferenceId"] != second["InferenceId"]
    assert first["OutputLocation"] != second["OutputLocation"]
    assert len(queued(doors)) == 2


def test_names_of_objects_can_be_chosen(runtime):
    reply = runtime.invoke_endpoint_async(**WISH, Filename="row-1.json", S3OutputPathExtension="2026/11")
    assert reply["OutputLocation"] == f"{OUTPUT}2026/11/row-1.json"


def test_a_small_body_may_come_with_the_request(doors, runtime):
    runtime.invoke_endpoint_async(EndpointName="slow", Body=b"[1, 2]", ContentType="application/json")
    (kept,) = queued(doors)
    assert doors.artifacts.path(kept.digest).read_bytes() == b"[1, 2]"
    assert kept.source is None


def test_an_endpoint_without_a_place_for_failures_names_none(doors, runtime):
    serve(doors, failure=None)
    assert "FailureLocation" not in runtime.invoke_endpoint_async(**WISH)


@pytest.mark.parametrize(
    "change",
    [
        {"EndpointName": "quick"},
        {"EndpointName": "none"},
        {"Body": b"and a body too"},
        {"InputLocation": "https://elsewhere/object"},
        {"InputLocation": "s3://bucket-without-key"},
        {"InferenceId": "with\tblanks"},
    ],
)
def test_what_cannot_be_done_is_refused_and_not_kept(doors, runtime, change):
    assert code_of(runtime.invoke_endpoint_async, **WISH | change) == "ValidationError"
    assert not queued(doors)


def test_a_bucket_that_is_not_there_is_told_at_once(doors, runtime):
    serve(doors, output="s3://nowhere/out")
    with pytest.raises(ClientError, match="no bucket 'nowhere'"):
        runtime.invoke_endpoint_async(**WISH)


def test_a_request_without_any_input_is_refused(runtime):
    assert code_of(runtime.invoke_endpoint_async, EndpointName="slow") == "ValidationError"


def test_numbers_of_seconds_have_bounds(doors):
    serve(doors)
    for name, value in (("requestttlseconds", "59"), ("invocationtimeoutseconds", "1e3")):
        reply = doors.client.post(
            "/endpoints/slow/async-invocations", content=b"x", headers={f"x-amzn-sagemaker-{name}": value}
        )
        assert (reply.status_code, reply.headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert doors.client.get("/endpoints/slow/async-invocations").status_code == 400


def test_a_queue_has_an_end(tmp_path):
    doors = Doors(tmp_path / "home", async_requests_max=2)
    try:
        url = str(doors.client.base_url)
        aws.client("s3", url).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION}
        )
        serve(doors)
        runtime = aws.client("sagemaker-runtime", url)
        for _ in range(2):
            runtime.invoke_endpoint_async(**WISH)
        assert code_of(runtime.invoke_endpoint_async, **WISH) == "ServiceUnavailable"
    finally:
        doors.close()


def test_who_may_not_invoke_is_refused(doors, bucket):
    serve(doors)
    with doors.with_tokens(
        ("reader", "endpoints:read", "t" * 20), ("app", "endpoints:invoke", "a" * 20)
    ) as client:
        path, headers = (
            "/endpoints/slow/async-invocations",
            {"x-amzn-sagemaker-inputlocation": f"s3://{BUCKET}/x"},
        )

        def ask(token: str | None) -> int:
            own = {} if token is None else {"authorization": f"Bearer {token}"}
            return client.post(path, headers=headers | own).status_code

        assert [ask(None), ask("t" * 20), ask("a" * 20)] == [401, 403, 202]


def test_a_config_says_where_answers_go(sagemaker):
    role = "arn:aws:iam::123456789012:role/any"
    container = {"Image": "any", "ModelDataUrl": "s3://b/model.tar.gz"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer=container)
    wish = {
        "EndpointConfigName": "c",
        "ProductionVariants": [{"VariantName": "A", "ModelName": "m", "InitialInstanceCount": 1}],
    }
    topic = "arn:aws:sns:eu-west-1:123456789012:topic"
    for output in (
        {},
        {"S3OutputPath": "https://b/k"},
        {"S3OutputPath": "s3://B/k"},
        {"S3OutputPath": "s3://bucket/k", "S3FailurePath": "https://b/k"},
        {"S3OutputPath": "s3://bucket/k", "NotificationConfig": {"SuccessTopic": topic}},
    ):
        asked = wish | {"AsyncInferenceConfig": {"OutputConfig": output}}
        assert code_of(sagemaker.create_endpoint_config, **asked) == "ValidationException"
    config = {
        "OutputConfig": {"S3OutputPath": "s3://bucket/k", "S3FailurePath": "s3://bucket/f"},
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
    }
    sagemaker.create_endpoint_config(**wish, AsyncInferenceConfig=config)
    assert sagemaker.describe_endpoint_config(EndpointConfigName="c")["AsyncInferenceConfig"] == config
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    assert sagemaker.describe_endpoint(EndpointName="e")["AsyncInferenceConfig"] == config

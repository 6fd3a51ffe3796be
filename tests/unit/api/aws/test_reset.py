"""A test suite empties the platform between its tests, where that is allowed and nowhere else."""

import pytest

from fakes import aws
from fakes.doors import Doors


@pytest.fixture
def emptied(tmp_path):
    doors = Doors(tmp_path / "for tests", allow_test_reset=1)
    yield doors
    doors.close()


def fill(url):
    s3, sagemaker, cloudwatch = (aws.client(name, url) for name in ("s3", "sagemaker", "cloudwatch"))
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    sagemaker.create_model(ModelName="m", PrimaryContainer={"ModelDataUrl": "s3://bucket/k"})
    holding = {"VariantName": "A", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[holding],
        ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
    )
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    sagemaker.create_inference_component(
        InferenceComponentName="c", EndpointName="e", Specification={"ModelName": "m"}
    )
    cloudwatch.put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1.0}])
    sagemaker.create_trial_component(TrialComponentName="c")
    told = {"MetricName": "m", "Timestamp": 1, "Value": 1.0}
    aws.client("sagemaker-metrics", url).batch_put_metrics(TrialComponentName="c", MetricData=[told])
    assert sagemaker.describe_trial_component(TrialComponentName="c")["Metrics"][0]["Count"] == 1
    return s3, sagemaker, cloudwatch


def test_a_reset_leaves_nothing_and_everything_can_be_made_again(emptied):
    url = str(emptied.client.base_url)
    for _ in range(2):
        s3, sagemaker, cloudwatch = fill(url)
        answer = emptied.client.post("/moto-api/reset")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert s3.list_buckets()["Buckets"] == []
        assert sagemaker.list_models()["Models"] == []
        assert sagemaker.list_inference_components()["InferenceComponents"] == []
        assert cloudwatch.list_metrics()["Metrics"] == []


def test_a_platform_that_is_not_for_tests_is_not_emptied(doors, url):
    _, sagemaker, _ = fill(url)
    answer = doors.client.post("/moto-api/reset")
    assert (answer.status_code, "MODELPORT_ALLOW_TEST_RESET" in answer.text) == (404, True)
    assert len(sagemaker.list_models()["Models"]) == 1

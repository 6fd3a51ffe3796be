"""A test suite empties the platform between its tests, where that is allowed and nowhere else."""

from dataclasses import replace

import pytest

from fakes import aws
from fakes.doors import Doors
from modelport.control.log_places import announce_logs, place_of
from modelport.domain.job import DataSource, S3DataSource, TransformInput, TransformOutput, TransformSpec
from modelport.domain.resource import Kind
from modelport.wire.jobs import LOG_FILE, RESULT_FILE
from modelport.wire.replicas import ReplicaSpec

NIGHT = TransformSpec(
    "night", "truth:1", TransformInput(DataSource(S3DataSource("/in"))), TransformOutput("/out")
)


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


def test_a_reset_forgets_what_replicas_and_jobs_wrote_and_not_what_the_platform_did(emptied):
    layout, logs = emptied.settings.layout, aws.client("logs", str(emptied.client.base_url))
    replica = ReplicaSpec("air-0123456789abcdef-0", "air", "A", model="m", image="i")
    announce_logs(layout.log_marks, [replica])
    layout.logs.mkdir()
    log = place_of(layout, replica).log
    for path in (log, log.with_name(f"{log.name}.1"), layout.logs / "control.log"):
        path.write_text("a line\n")
    end_job(emptied)
    assert len(logs.describe_log_groups()["logGroups"]) == 3
    assert logs.describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/air")["logStreams"]

    emptied.client.post("/moto-api/reset").raise_for_status()
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    assert groups == ["/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TransformJobs"]
    assert [path.name for path in layout.logs.iterdir()] == ["control.log"]
    assert not list(layout.log_marks.iterdir())
    emptied.register()
    emptied.platform.jobs.create_transform(NIGHT, principal="me")
    assert not logs.describe_log_streams(logGroupName="/aws/sagemaker/TransformJobs")["logStreams"]
    assert not (layout.jobs / "night" / RESULT_FILE).exists(), "it would have ended as the one before"


def end_job(doors):
    """Make a job that has ended and left what jobs leave."""
    doors.register()
    doors.platform.jobs.create_transform(NIGHT, principal="me")
    with doors.records.transaction() as tx:
        job = tx.get(Kind.TRANSFORM_JOB, "night")
        tx.put(replace(job, observed_generation=job.generation))
    folder = doors.settings.layout.jobs / "night"
    folder.mkdir(parents=True)
    for name in (LOG_FILE, RESULT_FILE):
        (folder / name).write_text("{}\n")


def test_a_platform_that_is_not_for_tests_is_not_emptied(doors, url):
    _, sagemaker, _ = fill(url)
    answer = doors.client.post("/moto-api/reset")
    assert (answer.status_code, "MODELPORT_ALLOW_TEST_RESET" in answer.text) == (404, True)
    assert len(sagemaker.list_models()["Models"]) == 1

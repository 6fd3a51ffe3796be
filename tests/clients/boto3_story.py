"""Buckets, a model, an endpoint, an update, metrics, clean-up: boto3 alone, with its own waiters.

Usage: boto3_story.py MODEL.tar.gz
"""

import json
import sys
from datetime import UTC, datetime, timedelta

import boto3

ROLE = "arn:aws:iam::123456789012:role/any"
SOON = {"Delay": 1, "MaxAttempts": 60}

s3, sagemaker, runtime, cloudwatch, sts = (
    boto3.client(name) for name in ("s3", "sagemaker", "sagemaker-runtime", "cloudwatch", "sts")
)
assert sts.get_caller_identity()["Account"] == "123456789012"
region = sagemaker.meta.region_name
s3.create_bucket(Bucket="boto3", CreateBucketConfiguration={"LocationConstraint": region})
s3.get_waiter("bucket_exists").wait(Bucket="boto3")
s3.upload_file(sys.argv[1], "boto3", "model.tar.gz")

sagemaker.create_model(
    ModelName="boto3",
    ExecutionRoleArn=ROLE,
    PrimaryContainer={"Image": "any", "ModelDataUrl": "s3://boto3/model.tar.gz"},
)
for config, weight in (("first", 1.0), ("second", 2.0)):
    sagemaker.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[
            {
                "VariantName": "A",
                "ModelName": "boto3",
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "InitialVariantWeight": weight,
            }
        ],
    )
sagemaker.create_endpoint(EndpointName="boto3", EndpointConfigName="first", Tags=[{"Key": "k", "Value": "v"}])
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="boto3", WaiterConfig=SOON)
rows = json.dumps({"instances": [[1.0, 2.0, 3.0]]})
reply = runtime.invoke_endpoint(EndpointName="boto3", ContentType="application/json", Body=rows)
assert (reply["InvokedProductionVariant"], json.loads(reply["Body"].read())["predictions"]) == ("A", [1])

routing = {
    "Type": "CANARY",
    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    "WaitIntervalInSeconds": 0,
}
sagemaker.update_endpoint(
    EndpointName="boto3",
    EndpointConfigName="second",
    DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="boto3", WaiterConfig=SOON)
assert sagemaker.describe_endpoint(EndpointName="boto3")["EndpointConfigName"] == "second"

now = datetime.now(UTC)
cloudwatch.put_metric_data(Namespace="own", MetricData=[{"MetricName": "seen", "Value": 3.0}])
points = cloudwatch.get_metric_statistics(
    Namespace="own",
    MetricName="seen",
    StartTime=now - timedelta(hours=1),
    EndTime=now + timedelta(minutes=2),
    Period=60,
    Statistics=["Sum"],
)["Datapoints"]
assert [point["Sum"] for point in points] == [3.0]

names = [
    config["EndpointConfigName"]
    for page in sagemaker.get_paginator("list_endpoint_configs").paginate(PaginationConfig={"PageSize": 1})
    for config in page["EndpointConfigs"]
]
assert sorted(names) == ["first", "second"]
sagemaker.delete_endpoint(EndpointName="boto3")
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="boto3", WaiterConfig=SOON)
for name in names:
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
sagemaker.delete_model(ModelName="boto3")
print("all of it")

"""boto3 against SageMaker's control plane; each reply is held against botocore's shape as it comes."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.doors import Doors
from modelport.domain.endpoint import EndpointState, EndpointStatus, VariantSummary
from modelport.domain.names import parse_version
from modelport.domain.resource import Kind

ROLE = "arn:aws:iam::123456789012:role/any"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012"
URL = "s3://models/model.tar.gz"


def model(sagemaker, name, **more):
    return sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"ModelDataUrl": URL, "Image": "onnx"}, **more
    )


def variant(name, model, **more):
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    } | more


def config(sagemaker, name, *variants, **more):
    return sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=list(variants), **more
    )


def refused(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error["Code"], error["Message"]


def test_a_model_is_described_as_it_was_asked_for(sagemaker):
    wish = {
        "ModelName": "Model-1",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"Image": "onnx", "ModelDataUrl": URL, "Environment": {"Kept_As": "Is"}},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "EnableNetworkIsolation": True,
    }
    assert sagemaker.create_model(**wish)["ModelArn"] == f"{ARN}:model/Model-1"
    found = sagemaker.describe_model(ModelName="Model-1")
    assert {name: found[name] for name in wish} == wish
    assert found["ModelArn"] == f"{ARN}:model/Model-1"
    taken = refused(model, sagemaker=sagemaker, name="Model-1")
    assert taken == (
        "ValidationException",
        f'Cannot create already existing model "{ARN}:model/Model-1".',
    )
    sagemaker.delete_model(ModelName="Model-1")
    missing = ("ValidationException", f'Could not find model "{ARN}:model/Model-1".')
    assert refused(sagemaker.describe_model, ModelName="Model-1") == missing
    assert refused(sagemaker.delete_model, ModelName="Model-1") == missing


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({}, "needs a PrimaryContainer"),
        ({"PrimaryContainer": {"ContainerHostname": "x"}}, "names nothing to serve"),
        ({"Containers": [{"ModelDataUrl": URL}, {}]}, "names nothing to serve"),
        ({"Containers": [{"ModelDataUrl": URL}], "PrimaryContainer": {"ModelDataUrl": URL}}, "not both"),
        ({"PrimaryContainer": {"ModelPackageName": "none"}}, "there is no"),
    ],
)
def test_what_cannot_be_a_model_is_refused(sagemaker, wish, told):
    code, message = refused(sagemaker.create_model, ModelName="m", **wish)
    assert code == "ValidationException"
    assert told in message
    assert sagemaker.list_models()["Models"] == []


def test_a_config_is_described_as_it_was_asked_for(sagemaker):
    model(sagemaker, "m")
    wish = {
        "ProductionVariants": [
            variant("A", "m", InitialVariantWeight=0.7),
            variant("B", "m", InitialVariantWeight=0.3, ContainerStartupHealthCheckTimeoutInSeconds=60),
        ],
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": 50,
            "DestinationS3Uri": "s3://bucket/captures",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        },
    }
    assert sagemaker.create_endpoint_config(EndpointConfigName="c", **wish)["EndpointConfigArn"] == (
        f"{ARN}:endpoint-config/c"
    )
    found = sagemaker.describe_endpoint_config(EndpointConfigName="c")
    assert {name: found[name] for name in wish} == wish
    assert [item["EndpointConfigName"] for item in sagemaker.list_endpoint_configs()["EndpointConfigs"]] == [
        "c"
    ]
    taken = refused(sagemaker.create_endpoint_config, EndpointConfigName="c", **wish)
    assert "already existing endpoint configuration" in taken[1]
    sagemaker.delete_endpoint_config(EndpointConfigName="c")
    assert (
        "Could not find endpoint configuration"
        in refused(sagemaker.describe_endpoint_config, EndpointConfigName="c")[1]
    )


def test_an_endpoint_says_what_it_captures(sagemaker, doors):
    model(sagemaker, "m")
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://bucket/captures",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    config(sagemaker, "c", variant("A", "m"), DataCaptureConfig=capture)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    serve(doors, "e", "c", "A")
    assert sagemaker.describe_endpoint(EndpointName="e")["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 50,
        "DestinationS3Uri": "s3://bucket/captures",
        "KmsKeyId": "",
    }


def test_a_config_names_models_that_are_there(sagemaker):
    code, message = refused(
        sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[variant("A", "none")]
    )
    assert (code, message) == ("ValidationException", f'Could not find model "{ARN}:model/none".')


def test_an_endpoint_goes_through_its_states(sagemaker, doors):
    model(sagemaker, "m")
    config(sagemaker, "c", variant("A", "m"))
    assert (
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")["EndpointArn"]
        == f"{ARN}:endpoint/e"
    )
    found = sagemaker.describe_endpoint(EndpointName="e")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Creating", "c")
    busy = ("ValidationException", f'Cannot update in-progress endpoint "{ARN}:endpoint/e".')
    assert refused(sagemaker.update_endpoint, EndpointName="e", EndpointConfigName="c") == busy
    weights = [{"VariantName": "A", "DesiredWeight": 1}]
    assert (
        refused(
            sagemaker.update_endpoint_weights_and_capacities,
            EndpointName="e",
            DesiredWeightsAndCapacities=weights,
        )
        == busy
    )
    assert (
        "already existing endpoint"
        in refused(sagemaker.create_endpoint, EndpointName="e", EndpointConfigName="c")[1]
    )
    assert (
        "endpoint configuration"
        in refused(sagemaker.create_endpoint, EndpointName="f", EndpointConfigName="none")[1]
    )
    (listed,) = sagemaker.list_endpoints(StatusEquals="Creating", NameContains="E")["Endpoints"]
    assert listed["EndpointName"] == "e"
    assert sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"] == []
    sagemaker.delete_endpoint(EndpointName="e")
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Deleting"
    assert "Could not find" in refused(sagemaker.delete_endpoint, EndpointName="none")[1]


def test_what_is_not_offered_is_refused_by_name(sagemaker):
    model(sagemaker, "m")
    _, message = refused(
        sagemaker.create_endpoint_config,
        EndpointConfigName="d",
        ProductionVariants=[variant("A", "m")],
        ExplainerConfig={"ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {}}}},
    )
    assert "ExplainerConfig" in message


def test_a_serverless_variant_is_described_as_one(sagemaker, doors):
    model(sagemaker, "m")
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    wish = {"VariantName": "A", "ModelName": "m", "ServerlessConfig": serverless}
    sagemaker.create_endpoint_config(EndpointConfigName="s", ProductionVariants=[wish])
    sagemaker.create_endpoint(EndpointName="s", EndpointConfigName="s")
    assert sagemaker.describe_endpoint_config(EndpointConfigName="s")["ProductionVariants"] == [wish]
    serve(doors, "s", "s", "A")
    (summary,) = sagemaker.describe_endpoint(EndpointName="s")["ProductionVariants"]
    assert summary["CurrentServerlessConfig"] == serverless


def test_a_deploy_leaves_what_it_does_not_change_as_it_was_asked_for(sagemaker, doors):
    model(sagemaker, "m")
    output = {"S3OutputPath": "s3://answers/out", "KmsKeyId": "key"}
    kept = {
        "AsyncInferenceConfig": {"OutputConfig": output},
        "KmsKeyId": "key",
        "ExecutionRoleArn": ROLE,
    }
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://bucket/captures",
        "CaptureOptions": [{"CaptureMode": "Input"}],
        "KmsKeyId": "key",
    }
    old = variant("A", "m", InitialVariantWeight=1.0, ModelDataDownloadTimeoutInSeconds=60)
    config(sagemaker, "c", old, DataCaptureConfig=capture, Tags=[{"Key": "of", "Value": "c"}], **kept)
    sagemaker.create_endpoint(EndpointName="slow", EndpointConfigName="c")
    serve(doors, "slow", "c", "A")
    wished = doors.platform.endpoints.deploy(
        "slow",
        parse_version(doors.register()),
        traffic_percent=25.0,
        capture_percent=20.0,
        principal="me",
    )
    made = wished.spec.endpoint_config_name
    found = sagemaker.describe_endpoint_config(EndpointConfigName=made)
    assert {name: found[name] for name in kept} == kept
    assert found["EndpointConfigName"] == made
    assert found["DataCaptureConfig"] == capture | {"InitialSamplingPercentage": 20}
    new = {"VariantName": "v1", "ModelName": "truth-1", "InitialInstanceCount": 1}
    assert found["ProductionVariants"] == [
        old | {"InitialVariantWeight": 75.0},
        new | {"InitialVariantWeight": 25.0},
    ]
    serve(doors, "slow", made, "A", "v1")
    wished = doors.platform.endpoints.promote("slow", "v1", principal="me")
    found = sagemaker.describe_endpoint_config(EndpointConfigName=wished.spec.endpoint_config_name)
    assert found["ProductionVariants"] == [new | {"InitialVariantWeight": 1.0}]
    assert found["AsyncInferenceConfig"] == kept["AsyncInferenceConfig"]


def serve(doors, endpoint, config, *variants):
    """Let an endpoint serve a config, as the loop would."""
    with doors.records.transaction() as tx:
        found = tx.get(Kind.ENDPOINT, endpoint)
        summaries = tuple(VariantSummary(name, 1.0, 1.0) for name in variants)
        serving = EndpointState(EndpointStatus.IN_SERVICE, config, summaries)
        tx.put(replace(found, status=serving, observed_generation=found.generation))


def test_a_client_token_names_one_request(sagemaker):
    sagemaker.create_model_package_group(ModelPackageGroupName="g")
    wish = {"ModelPackageGroupName": "g", "ClientToken": "once", "ModelPackageDescription": "a"}
    first = sagemaker.create_model_package(**wish)["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=first, ModelApprovalStatus="Approved")
    assert sagemaker.create_model_package(**wish)["ModelPackageArn"] == first
    code, message = refused(sagemaker.create_model_package, **wish | {"ModelPackageDescription": "b"})
    assert (code, "named another request" in message) == ("ConflictException", True)
    second = sagemaker.create_model_package(**wish | {"ClientToken": "twice"})["ModelPackageArn"]
    assert second.endswith("/2")
    found = sagemaker.describe_model_package(ModelPackageName=first)
    assert found["ModelApprovalStatus"] == "Approved"


def canary(percent=10, wait=60, alarms=()):
    size = {"Type": "CAPACITY_PERCENT", "Value": percent}
    routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": wait}
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        **(rollback if alarms else {}),
    }


@pytest.mark.parametrize(
    ("deployment", "told"),
    [
        (canary(percent=60), "1 to 50"),
        (canary(alarms=["none"]), "there is no alarm 'none'"),
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "LINEAR", "WaitIntervalInSeconds": 0}
                }
            },
            "needs LinearStepSize",
        ),
    ],
)
def test_a_deployment_config_that_nobody_could_follow_is_refused(doors, sagemaker, deployment, told):
    model(sagemaker, "m")
    config(sagemaker, "c", variant("A", "m"))
    wish = {"EndpointName": "e", "EndpointConfigName": "c"}
    assert told in refused(sagemaker.create_endpoint, **wish, DeploymentConfig=deployment)[1]
    assert sagemaker.list_endpoints()["Endpoints"] == []


def test_lists_are_paged_sorted_and_filtered(sagemaker):
    names = [f"m-{number:02}" for number in range(25)]
    for name in names:
        model(sagemaker, name)
    first = sagemaker.list_models()
    assert [item["ModelName"] for item in first["Models"]] == names[::-1][:10]
    model(sagemaker, "newest")  # what is made meanwhile moves nothing
    second = sagemaker.list_models(NextToken=first["NextToken"])
    assert [item["ModelName"] for item in second["Models"]] == names[::-1][10:20]
    pages = sagemaker.get_paginator("list_models").paginate(
        SortBy="Name", SortOrder="Ascending", NameContains="M-", PaginationConfig={"PageSize": 7}
    )
    assert [item["ModelName"] for page in pages for item in page["Models"]] == names
    made = sagemaker.describe_model(ModelName="m-12")["CreationTime"]
    before = sagemaker.list_models(CreationTimeBefore=made, MaxResults=100)["Models"]
    assert len(before) <= 12 + 1
    assert "NextToken" in refused(sagemaker.list_models, NextToken="bm9uZQ")[1]


def test_the_registry_keeps_versions_and_approval(sagemaker):
    arn = sagemaker.create_model_package_group(
        ModelPackageGroupName="g",
        ModelPackageGroupDescription="all of them",
        Tags=[{"Key": "team", "Value": "ml"}],
    )["ModelPackageGroupArn"]
    assert arn == f"{ARN}:model-package-group/g"
    inference = {
        "Containers": [{"Image": "onnx", "ModelDataUrl": URL}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    arns = [
        sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelPackageDescription="one of them",
            InferenceSpecification=inference,
            CustomerMetadataProperties={"Kept_As": "Is"},
        )["ModelPackageArn"]
        for group in ("g", arn)
    ]
    assert arns == [f"{ARN}:model-package/g/{number}" for number in (1, 2)]
    found = sagemaker.describe_model_package(ModelPackageName=arns[0])
    assert found["ModelApprovalStatus"] == "PendingManualApproval"
    assert found["InferenceSpecification"] == inference
    assert (
        "expected Approved"
        in refused(sagemaker.create_model, ModelName="m", PrimaryContainer={"ModelPackageName": arns[0]})[1]
    )
    sagemaker.update_model_package(
        ModelPackageArn=arns[0],
        ModelApprovalStatus="Approved",
        ApprovalDescription="looked at it",
        CustomerMetadataProperties={"new": "word"},
        CustomerMetadataPropertiesToRemove=["Kept_As"],
    )
    found = sagemaker.describe_model_package(ModelPackageName=arns[0])
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Approved", "looked at it")
    assert found["CustomerMetadataProperties"] == {"new": "word"}
    approved = sagemaker.list_model_packages(ModelPackageGroupName="g", ModelApprovalStatus="Approved")
    assert [item["ModelPackageArn"] for item in approved["ModelPackageSummaryList"]] == arns[:1]
    sagemaker.create_model(ModelName="m", PrimaryContainer={"ModelPackageName": arns[0]})
    batch = sagemaker.batch_describe_model_package(ModelPackageArnList=[arns[1], f"{ARN}:model-package/g/9"])
    assert list(batch["ModelPackageSummaries"]) == arns[1:]
    assert list(batch["BatchDescribeModelPackageErrorMap"]) == [f"{ARN}:model-package/g/9"]
    assert refused(sagemaker.delete_model_package_group, ModelPackageGroupName="g")[0] == "ConflictException"
    assert [
        group["ModelPackageGroupName"]
        for group in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    ] == ["g"]
    for each in arns:
        sagemaker.delete_model_package(ModelPackageName=each)
    sagemaker.delete_model_package_group(ModelPackageGroupName="g")
    assert "Could not find" in refused(sagemaker.describe_model_package, ModelPackageName=arns[0])[1]
    assert "Could not find" in refused(sagemaker.describe_model_package_group, ModelPackageGroupName="g")[1]


def test_what_modelport_registered_is_seen_by_aws_programs(sagemaker, doors):
    doors.register()
    (listed,) = sagemaker.list_model_packages(ModelPackageGroupName="truth")["ModelPackageSummaryList"]
    assert sagemaker.list_model_packages(ModelPackageType="Versioned")["ModelPackageSummaryList"] == [listed]
    assert sagemaker.list_model_packages()["ModelPackageSummaryList"] == [], "each is of a group"
    arn = listed["ModelPackageArn"]
    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "Approved"
    sagemaker.create_model(ModelName="m", PrimaryContainer={"ModelPackageName": arn})
    assert sagemaker.describe_model(ModelName="m")["PrimaryContainer"]["ModelPackageName"] == arn
    doors.client.post(
        "/api/v1/models", json={"model_name": "ours", "primary_container": {"model_package_name": "truth:1"}}
    ).raise_for_status()
    assert sagemaker.describe_model(ModelName="ours")["PrimaryContainer"] == {"ModelPackageName": arn}


def test_tags_of_any_resource(sagemaker):
    arn = model(sagemaker, "m", Tags=[{"Key": "team", "Value": "ml"}])["ModelArn"]
    added = sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "Größe 7"}])
    assert len(added["Tags"]) == 2
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "Größe 7"}]
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    assert [tag["Key"] for page in pages for tag in page["Tags"]] == ["stage"]
    assert "Could not find" in refused(sagemaker.list_tags, ResourceArn=f"{ARN}:model/none")[1]
    assert "names no resource" in refused(sagemaker.list_tags, ResourceArn=f"{ARN}:domain/d-1")[1]


def test_more_than_three_hundred_replies_fit_their_shapes(sagemaker):
    before = len(aws.checked)
    for number in range(50):
        model(sagemaker, f"m{number}", Tags=[{"Key": "n", "Value": str(number)}])
        config(sagemaker, f"c{number}", variant("A", f"m{number}"))
        sagemaker.create_endpoint(EndpointName=f"e{number}", EndpointConfigName=f"c{number}")
        sagemaker.describe_model(ModelName=f"m{number}")
        sagemaker.describe_endpoint_config(EndpointConfigName=f"c{number}")
        sagemaker.describe_endpoint(EndpointName=f"e{number}")
        sagemaker.list_endpoints(MaxResults=100)
    assert len(aws.checked) - before >= 300


def test_operations_nobody_offers_are_told_apart(sagemaker, doors):
    assert refused(sagemaker.list_training_jobs) == (
        "UnknownOperationException",
        "modelport does not offer ListTrainingJobs; docs/reference/aws.md lists what it offers",
    )
    authorization = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/{}/aws4_request, Signature=0"
    for service, target in (("sagemaker", "SageMaker.Invented"), ("kinesis", "Kinesis.PutRecord")):
        answer = doors.client.post(
            "/", headers={"Authorization": authorization.format(service), "X-Amz-Target": target}
        )
        assert (answer.status_code, answer.json()["__type"]) == (400, "UnknownOperationException")


def test_with_tokens_aws_keys_open_nothing(doors):
    with doors.with_tokens(("ada", "admin", "secret-token-of-ada")) as client:
        code, message = refused(aws.client("sagemaker", str(client.base_url)).list_models)
        assert code == "UnrecognizedClientException"
        assert "MODELPORT_KEY_FILE" in message
        with pytest.raises(ClientError) as caught:
            aws.client("s3", str(client.base_url)).list_buckets()
        assert caught.value.response["Error"]["Code"] == "InvalidAccessKeyId"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_client_that_pauses_within_a_body_is_let_go(tmp_path):
    doors = Doors(tmp_path / "impatient", body_timeout_s=0.05)
    try:
        for service in ("sagemaker", "s3", "sts"):
            scope = f"AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/{service}/aws4_request, Signature=0"
            with socket.create_connection(
                ("127.0.0.1", doors.client.base_url.port), timeout=10
            ) as connection:
                connection.sendall(
                    f"PUT /bucket/k HTTP/1.1\r\nHost: localhost\r\nAuthorization: {scope}\r\n"
                    "Content-Length: 100\r\n\r\nx".encode()
                )
                head = connection.recv(65_536)
            assert head.startswith(b"HTTP/1.1 400 "), service
    finally:
        doors.close()


def test_bodies_that_are_no_json_are_refused(doors):
    authorization = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/sagemaker/aws4_request, Signature=0"
    for body in (b"{", b"\xff", b"[" * 100_000, b"[]", b'"word"', b"{} {}"):
        answer = doors.client.post(
            "/",
            content=body,
            headers={"Authorization": authorization, "X-Amz-Target": "SageMaker.ListModels"},
        )
        assert (answer.status_code, answer.json()["__type"]) == (400, "SerializationException"), body


def test_callers_are_told_who_they_are_and_that_they_may(url):
    identity = aws.client("sts", url).get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("123456789012", "arn:aws:iam::123456789012:user/local")
    iam = aws.client("iam", url)
    assert iam.get_role(RoleName="any")["Role"]["Arn"] == "arn:aws:iam::123456789012:role/any"
    decided = iam.simulate_principal_policy(
        PolicySourceArn=ROLE, ActionNames=["s3:GetObject", "s3:PutObject"]
    )
    assert [item["EvalDecision"] for item in decided["EvaluationResults"]] == ["allowed", "allowed"]
    assert refused(iam.list_users)[0] == "InvalidAction"


@pytest.mark.parametrize(
    ("service", "code"), [("monitoring", "InvalidAction"), ("ec2", "UnknownOperationException")]
)
def test_who_sends_a_form_is_told_in_xml(doors, service, code):
    scope = f"AK/20260101/eu-west-1/{service}/aws4_request"
    answer = doors.client.post(
        "/",
        data={"Action": "ListMetrics", "Version": "2010-08-01"},
        headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, Signature=0"},
    )
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/xml")
    assert f"<Code>{code}</Code>" in answer.text

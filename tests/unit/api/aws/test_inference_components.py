"""boto3 against inference components; every reply is held against its shape."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from fakes import components
from modelport.domain.inference_component import ComponentStatus

ROLE = "arn:aws:iam::123456789012:role/any"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012"
URL = "s3://models/model.tar.gz"
HOLDING = {"VariantName": "A", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
RESOURCES = {"NumberOfCpuCoresRequired": 0.5, "MinMemoryRequiredInMb": 512}
OF_MODEL = {"ModelName": "m", "ComputeResourceRequirements": RESOURCES}
CONTAINER = {"Image": "sklearn", "ArtifactUrl": URL, "Environment": {"Kept_As": "Is"}}
WISH = {
    "InferenceComponentName": "c",
    "EndpointName": "air",
    "VariantName": "A",
    "Specification": OF_MODEL,
    "RuntimeConfig": {"CopyCount": 2},
}
MISSING = ("ValidationException", f'Could not find inference component "{ARN}:inference-component/none".')


@pytest.fixture
def air(sagemaker, doors):
    sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": "onnx", "ModelDataUrl": URL})
    config(sagemaker, "shared", HOLDING)
    sagemaker.create_endpoint(EndpointName="air", EndpointConfigName="shared")
    components.serve(doors.records, "air")
    return sagemaker


@pytest.fixture
def made(air, doors):
    air.create_inference_component(**WISH)
    components.settle(doors.records, "c")
    return air


def config(sagemaker, name, *variants, **more):
    more = {"ExecutionRoleArn": ROLE} | more
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants), **more)


def refused(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error["Code"], error["Message"]


def describe(sagemaker, name="c"):
    return sagemaker.describe_inference_component(InferenceComponentName=name)


def names(sagemaker, **asked):
    found = sagemaker.list_inference_components(**asked)["InferenceComponents"]
    return [one["InferenceComponentName"] for one in found]


def test_a_component_is_described_as_it_was_asked_for_and_as_it_is(air, doors):
    arn = f"{ARN}:inference-component/c"
    assert air.create_inference_component(**WISH)["InferenceComponentArn"] == arn
    found = describe(air)
    assert found["InferenceComponentArn"] == arn
    assert (found["EndpointName"], found["EndpointArn"]) == ("air", f"{ARN}:endpoint/air")
    assert (found["VariantName"], found["InferenceComponentStatus"]) == ("A", "Creating")
    assert found["Specification"] == OF_MODEL
    assert found["RuntimeConfig"] == {"DesiredCopyCount": 2, "CurrentCopyCount": 0}
    components.settle(doors.records, "c")
    found = describe(air)
    assert found["InferenceComponentStatus"] == "InService"
    assert found["RuntimeConfig"] == {"DesiredCopyCount": 2, "CurrentCopyCount": 2}
    assert "FailureReason" not in found
    components.settle(doors.records, "c", ComponentStatus.FAILED, "it does not load")
    found = describe(air)
    assert (found["InferenceComponentStatus"], found["FailureReason"]) == ("Failed", "it does not load")


def test_a_containers_image_is_described_as_the_one_deployed(air, doors):
    startup = {"ContainerStartupHealthCheckTimeoutInSeconds": 90, "ModelDataDownloadTimeoutInSeconds": 60}
    specification = {
        "Container": CONTAINER,
        "StartupParameters": startup,
        "ComputeResourceRequirements": RESOURCES,
    }
    air.create_inference_component(
        InferenceComponentName="c", EndpointName="air", Specification=specification
    )
    found = describe(air)
    assert found["VariantName"] == "A", "its endpoint has no other"
    assert found["RuntimeConfig"]["DesiredCopyCount"] == 1
    assert found["Specification"] == specification | {
        "Container": {
            "DeployedImage": {"SpecifiedImage": "sklearn"},
            "ArtifactUrl": URL,
            "Environment": {"Kept_As": "Is"},
        }
    }
    spec = doors.platform.inference_components.describe("c").spec
    assert (spec.container.image, spec.container.model_data_url) == ("sklearn", URL)
    assert (spec.container.environment, spec.startup_timeout_s) == ({"Kept_As": "Is"}, 90)


def test_a_container_without_an_image_has_none_deployed(air):
    air.create_inference_component(**WISH | {"Specification": {"Container": {"ArtifactUrl": URL}}})
    assert describe(air)["Specification"] == {"Container": {"ArtifactUrl": URL}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"EndpointName": "none"}, f'Could not find endpoint "{ARN}:endpoint/none".'),
        ({"VariantName": "B"}, "endpoint 'air' has no variant 'B'; it has: A"),
        ({"Specification": {"ModelName": "none"}}, f'Could not find model "{ARN}:model/none".'),
        ({"Specification": {}}, "neither a model nor a container"),
        ({"Specification": OF_MODEL | {"Container": CONTAINER}}, "both a model and a container"),
        ({"Specification": {"Container": {}}}, "names nothing to serve"),
        (
            {"Specification": OF_MODEL | {"BaseInferenceComponentName": "b"}},
            "not offer BaseInferenceComponent",
        ),
        ({"Specifications": [OF_MODEL]}, "not offer Specifications: "),
    ],
)
def test_what_cannot_be_a_component_is_refused(air, change, told):
    wish = WISH | change
    code, message = refused(air.create_inference_component, **wish)
    assert code == "ValidationException"
    assert told in message
    assert names(air) == []


def test_a_component_of_nothing_is_refused(air):
    wish = {name: value for name, value in WISH.items() if name != "Specification"}
    assert "neither a model nor a container" in refused(air.create_inference_component, **wish)[1]


def test_a_name_is_taken_once(made):
    assert refused(made.create_inference_component, **WISH) == (
        "ValidationException",
        f'Cannot create already existing inference component "{ARN}:inference-component/c".',
    )


def test_an_update_replaces_what_it_names_and_keeps_the_rest(made, doors):
    startup = {"ContainerStartupHealthCheckTimeoutInSeconds": 90}
    arn = made.update_inference_component(
        InferenceComponentName="c",
        Specification={"Container": CONTAINER, "StartupParameters": startup},
    )["InferenceComponentArn"]
    assert arn == f"{ARN}:inference-component/c"
    found = describe(made)
    assert found["InferenceComponentStatus"] == "Updating"
    assert found["RuntimeConfig"] == {"DesiredCopyCount": 2, "CurrentCopyCount": 2}
    asked = found["Specification"]
    assert "ModelName" not in asked
    assert asked["Container"]["ArtifactUrl"] == URL
    assert (asked["ComputeResourceRequirements"], asked["StartupParameters"]) == (RESOURCES, startup)
    components.settle(doors.records, "c")

    download = {"ModelDataDownloadTimeoutInSeconds": 60}
    more = {"MinMemoryRequiredInMb": 1024}
    made.update_inference_component(
        InferenceComponentName="c",
        Specification={"StartupParameters": download, "ComputeResourceRequirements": more},
        RuntimeConfig={"CopyCount": 3},
    )
    found = describe(made)
    asked = found["Specification"]
    assert asked["Container"]["ArtifactUrl"] == URL, "the update named neither a model nor a container"
    assert (asked["StartupParameters"], asked["ComputeResourceRequirements"]) == (startup | download, more)
    assert found["RuntimeConfig"]["DesiredCopyCount"] == 3
    assert doors.platform.inference_components.describe("c").spec.startup_timeout_s == 90
    components.settle(doors.records, "c", ComponentStatus.FAILED, "why")

    made.update_inference_component(InferenceComponentName="c", Specification={"ModelName": "m"})
    found = describe(made)
    assert "FailureReason" not in found
    assert (found["Specification"]["ModelName"], "Container" in found["Specification"]) == ("m", False)


def test_copies_are_changed_alone_also_to_none(made):
    made.update_inference_component_runtime_config(
        InferenceComponentName="c", DesiredRuntimeConfig={"CopyCount": 0}
    )
    found = describe(made)
    assert found["RuntimeConfig"] == {"DesiredCopyCount": 0, "CurrentCopyCount": 2}
    assert (found["InferenceComponentStatus"], found["Specification"]) == ("Updating", OF_MODEL)


def test_updates_that_cannot_be_are_refused(made, doors):
    deployment = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1},
            "WaitIntervalInSeconds": 0,
        }
    }
    for change, told in (
        ({}, "nothing is to change"),
        ({"Specification": {}}, "nothing is to change"),
        ({"Specification": {"ModelName": "none"}}, f'Could not find model "{ARN}:model/none".'),
        ({"Specification": {"ModelName": "m", "Container": CONTAINER}}, "both a model and a container"),
        ({"Specification": {"BaseInferenceComponentName": "c"}}, "not offer BaseInferenceComponentName"),
        ({"DeploymentConfig": deployment}, "not offer DeploymentConfig"),
        ({"Specifications": [OF_MODEL]}, "not offer Specifications"),
    ):
        code, message = refused(made.update_inference_component, InferenceComponentName="c", **change)
        assert (code, told in message) == ("ValidationException", True), message
    assert describe(made)["InferenceComponentStatus"] == "InService"
    copies = {"CopyCount": 1}
    for status in (ComponentStatus.CREATING, ComponentStatus.UPDATING, ComponentStatus.DELETING):
        components.settle(doors.records, "c", status)
        busy = f'Cannot update in-progress inference component "{ARN}:inference-component/c".'
        for call, wish in (
            (made.update_inference_component, {"RuntimeConfig": copies}),
            (made.update_inference_component_runtime_config, {"DesiredRuntimeConfig": copies}),
        ):
            assert refused(call, InferenceComponentName="c", **wish) == ("ValidationException", busy)


def test_a_component_is_deleted_and_then_gone(made, doors):
    made.delete_inference_component(InferenceComponentName="c")
    assert describe(made)["InferenceComponentStatus"] == "Deleting"
    made.delete_inference_component(InferenceComponentName="c")
    components.remove(doors.records, "c")
    assert names(made) == []
    made.create_inference_component(**WISH)


def test_what_is_not_there_is_told_in_sagemakers_words(air):
    copies = {"CopyCount": 1}
    for call, wish in (
        (air.describe_inference_component, {}),
        (air.delete_inference_component, {}),
        (air.update_inference_component, {"RuntimeConfig": copies}),
        (air.update_inference_component_runtime_config, {"DesiredRuntimeConfig": copies}),
    ):
        assert refused(call, InferenceComponentName="none", **wish) == MISSING


def test_components_are_listed_by_place_status_name_and_time(air, doors):
    config(air, "two", HOLDING, HOLDING | {"VariantName": "B"})
    air.create_endpoint(EndpointName="sea", EndpointConfigName="two")
    for name, endpoint, variant in (("one", "air", "A"), ("two", "sea", "A"), ("three", "sea", "B")):
        place = {"InferenceComponentName": name, "EndpointName": endpoint, "VariantName": variant}
        air.create_inference_component(**WISH | place)
    components.settle(doors.records, "two")
    assert names(air) == ["three", "two", "one"]
    assert names(air, SortOrder="Ascending") == ["one", "two", "three"]
    assert names(air, SortBy="Name", SortOrder="Ascending") == ["one", "three", "two"]
    assert names(air, SortBy="Status") == ["two", "three", "one"]
    assert names(air, EndpointNameEquals="sea") == ["three", "two"]
    assert names(air, VariantNameEquals="A") == ["two", "one"]
    assert names(air, EndpointNameEquals="sea", VariantNameEquals="A") == ["two"]
    assert names(air, EndpointNameEquals="none") == []
    assert names(air, StatusEquals="InService") == ["two"]
    assert names(air, NameContains="T") == ["three", "two"]
    for member in ("CreationTime", "LastModifiedTime"):
        assert names(air, **{f"{member}After": "2100-01-01"}) == []
        assert len(names(air, **{f"{member}Before": "2100-01-01"})) == 3
    pages = air.get_paginator("list_inference_components").paginate(
        EndpointNameEquals="sea", PaginationConfig={"PageSize": 1}
    )
    assert [one["InferenceComponentName"] for page in pages for one in page["InferenceComponents"]] == [
        "three",
        "two",
    ]
    assert refused(air.list_inference_components, NextToken="none")[0] == "ValidationException"


def test_components_have_tags(air):
    air.create_inference_component(**WISH, Tags=[{"Key": "team", "Value": "a"}])
    arn = f"{ARN}:inference-component/c"
    air.add_tags(ResourceArn=arn, Tags=[{"Key": "cost", "Value": "b"}])
    air.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert air.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "cost", "Value": "b"}]
    assert "Could not find" in refused(air.list_tags, ResourceArn=MISSING[1].split('"')[1])[1]


def test_a_config_of_variants_without_models_is_described_as_it_was_asked_for(sagemaker):
    wish = HOLDING | {"ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1}}
    config(sagemaker, "shared", wish)
    found = sagemaker.describe_endpoint_config(EndpointConfigName="shared")
    assert (found["ProductionVariants"], found["ExecutionRoleArn"]) == ([wish], ROLE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ExecutionRoleArn": None}, "needs an ExecutionRoleArn"),
        (
            {"ProductionVariants": [HOLDING, HOLDING | {"VariantName": "B", "ModelName": "m"}]},
            "variant 'A' has no model and others have one",
        ),
        (
            {
                "ProductionVariants": [HOLDING | {"VariantName": "B", "ModelName": "m"}],
                "ShadowProductionVariants": [HOLDING],
            },
            "shadow variant 'A' has no model",
        ),
        (
            {"ShadowProductionVariants": [HOLDING | {"VariantName": "S", "ModelName": "m"}]},
            "the config has shadow variants",
        ),
        (
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}},
            "the config has an asynchronous inference config",
        ),
        (
            {
                "ProductionVariants": [
                    {"VariantName": "A", "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
                ]
            },
            "the config has a serverless config",
        ),
    ],
)
def test_configs_that_could_hold_no_components_are_refused(air, change, told):
    wish = {"EndpointConfigName": "bad", "ProductionVariants": [HOLDING], "ExecutionRoleArn": ROLE} | change
    wish = {name: value for name, value in wish.items() if value is not None}
    code, message = refused(air.create_endpoint_config, **wish)
    assert (code, told in message) == ("ValidationException", True), message


def test_an_endpoint_with_components_is_neither_deleted_nor_of_another_sort(made, doors):
    model_variant = HOLDING | {"ModelName": "m"}
    made.create_endpoint_config(EndpointConfigName="own", ProductionVariants=[model_variant])
    code, message = refused(made.update_endpoint, EndpointName="air", EndpointConfigName="own")
    assert (code, "'own' has no variant of that name" in message) == ("ValidationException", True), message
    code, message = refused(made.delete_endpoint, EndpointName="air")
    assert code == "ValidationException"
    assert "endpoint 'air' has inference components: c" in message
    assert made.describe_endpoint(EndpointName="air")["EndpointStatus"] == "InService"
    made.delete_inference_component(InferenceComponentName="c")
    components.remove(doors.records, "c")
    made.update_endpoint(EndpointName="air", EndpointConfigName="own")
    made.delete_endpoint(EndpointName="air")


def test_a_model_is_deleted_though_a_component_serves_it(made):
    made.delete_model(ModelName="m")
    assert describe(made)["Specification"]["ModelName"] == "m"


def test_our_own_words_for_it_name_the_next_step(made, doors):
    answer = doors.client.delete("/api/v1/endpoints/air")
    assert answer.status_code == 409
    assert "aws sagemaker delete-inference-component --inference-component-name c" in answer.text
    doors.register()
    answer = doors.client.post("/api/v1/endpoints/air/deployments", json={"model_package": "truth:1"})
    assert answer.status_code == 409
    assert "serves inference components, not versions" in answer.text

"""boto3 against Application Auto Scaling, as SageMaker's guide uses it."""

from __future__ import annotations

import pytest

from fakes import aws
from fakes.aws import code_of

PLACE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/air/variant/A",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleInCooldown": 600,
    "ScaleOutCooldown": 60,
}
POLICY = PLACE | {
    "PolicyName": "invocations",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": TRACKING,
}


COPIES = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "inference-component/c",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}
PER_COPY = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}


@pytest.fixture
def scaling(url, sagemaker):
    sagemaker.create_model(
        ModelName="m",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
        PrimaryContainer={"Image": "any", "ModelDataUrl": "s3://b/model.tar.gz"},
    )
    variant = {"VariantName": "A", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="air", EndpointConfigName="c")
    return aws.client("application-autoscaling", url)


def test_a_target_has_bounds_that_can_be_changed(scaling):
    assert code_of(scaling.register_scalable_target, **PLACE, MinCapacity=1) == "ValidationException"
    arn = scaling.register_scalable_target(**PLACE, MinCapacity=1, MaxCapacity=4)["ScalableTargetARN"]
    again = scaling.register_scalable_target(
        **PLACE, MaxCapacity=6, SuspendedState={"DynamicScalingInSuspended": True}
    )
    assert again["ScalableTargetARN"] == arn
    (found,) = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[PLACE["ResourceId"]]
    )["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"], found["ScalableTargetARN"]) == (1, 6, arn)
    assert found["SuspendedState"]["DynamicScalingInSuspended"]
    assert code_of(scaling.register_scalable_target, **PLACE, MinCapacity=7) == "ValidationException"
    assert not scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]


def test_policies_are_described_as_they_were_put(scaling):
    scaling.register_scalable_target(**PLACE, MinCapacity=1, MaxCapacity=4)
    arn = scaling.put_scaling_policy(**POLICY)["PolicyARN"]
    (found,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert found["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    assert (found["PolicyARN"], found["PolicyType"]) == (arn, "TargetTrackingScaling")
    customized = {
        "TargetValue": 5.0,
        "CustomizedMetricSpecification": {
            "Namespace": "AWS/SageMaker",
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Dimensions": [{"Name": "EndpointName", "Value": "air"}],
            "Statistic": "Average",
        },
    }
    scaling.put_scaling_policy(**POLICY | {"TargetTrackingScalingPolicyConfiguration": customized})
    scaling.put_scaling_policy(**POLICY | {"PolicyName": "other"})
    pages = scaling.get_paginator("describe_scaling_policies").paginate(
        ServiceNamespace="sagemaker", PaginationConfig={"PageSize": 1}
    )
    found = [policy for page in pages for policy in page["ScalingPolicies"]]
    assert [policy["PolicyName"] for policy in found] == ["invocations", "other"]
    assert found[0]["TargetTrackingScalingPolicyConfiguration"] == customized
    assert found[0]["CreationTime"] <= found[1]["CreationTime"], "a change is no other policy"
    scaling.delete_scaling_policy(**PLACE, PolicyName="other")
    assert code_of(scaling.delete_scaling_policy, **PLACE, PolicyName="other") == "ObjectNotFoundException"


def test_what_is_gone_or_cannot_be_is_refused(scaling):
    refused = code_of
    assert refused(scaling.put_scaling_policy, **POLICY) == "ObjectNotFoundException"
    assert refused(scaling.deregister_scalable_target, **PLACE) == "ObjectNotFoundException"
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    for change in (
        {"ResourceId": "endpoint/none/variant/A"},
        {"ResourceId": "endpoint/air/variant/none"},
    ):
        assert (
            refused(scaling.register_scalable_target, **PLACE | change, **bounds) == "ObjectNotFoundException"
        )
    for change in (
        {"ResourceId": "endpoint/air"},
        {"ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"},
        {"ResourceId": "inference-component/c"},
        {"ServiceNamespace": "ecs"},
    ):
        assert refused(scaling.register_scalable_target, **PLACE | change, **bounds) == "ValidationException"
    scaling.register_scalable_target(**PLACE, **bounds)
    for change in (
        {"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": {}},
        {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 1.0}},
        {"TargetTrackingScalingPolicyConfiguration": TRACKING | {"TargetValue": 0.0}},
        {
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 1.0,
                "CustomizedMetricSpecification": {"MetricName": "m", "Namespace": "n"},
            }
        },
    ):
        assert refused(scaling.put_scaling_policy, **POLICY | change) == "ValidationException"
    assert not scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    scaling.deregister_scalable_target(**PLACE)
    assert not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert not scaling.describe_scaling_activities(ServiceNamespace="sagemaker")["ScalingActivities"]


@pytest.fixture
def component(scaling, sagemaker):
    holding = {"VariantName": "A", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="shared",
        ProductionVariants=[holding],
        ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
    )
    # An endpoint of this name is no trouble: targets of components are told apart from those of variants.
    sagemaker.create_endpoint(EndpointName="inference-component", EndpointConfigName="shared")
    sagemaker.create_inference_component(
        InferenceComponentName="c",
        EndpointName="inference-component",
        Specification={"ModelName": "m"},
    )
    return scaling


def test_copies_of_a_component_are_a_target_of_its_own_dimension(component, doors):
    of_variant = PLACE | {"ResourceId": "endpoint/inference-component/variant/A"}
    component.register_scalable_target(**of_variant, MinCapacity=1, MaxCapacity=2)
    arn = component.register_scalable_target(**COPIES, MinCapacity=1, MaxCapacity=4)["ScalableTargetARN"]
    tracking = {"TargetValue": 10.0, "PredefinedMetricSpecification": PER_COPY}
    policy = COPIES | {
        "PolicyName": "copies",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    made = component.put_scaling_policy(**policy)["PolicyARN"]
    assert "resource/sagemaker/inference-component/c:policyName/copies" in made

    def found(**asked):
        targets = component.describe_scalable_targets(ServiceNamespace="sagemaker", **asked)
        return [one["ResourceId"] for one in targets["ScalableTargets"]]

    assert sorted(found()) == sorted([of_variant["ResourceId"], COPIES["ResourceId"]])
    assert found(ScalableDimension=COPIES["ScalableDimension"]) == [COPIES["ResourceId"]]
    assert found(ScalableDimension=PLACE["ScalableDimension"]) == [of_variant["ResourceId"]]
    assert found(ResourceIds=[COPIES["ResourceId"]]) == [COPIES["ResourceId"]]
    (told,) = component.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[COPIES["ResourceId"]]
    )["ScalableTargets"]
    assert (told["MinCapacity"], told["MaxCapacity"], told["ScalableTargetARN"]) == (1, 4, arn)
    (told,) = component.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert {name: told[name] for name in policy} == policy
    (metric,) = [one.metric for target in doors.platform.scaling.targets() for one in target.status.policies]
    assert [(one.name, one.value) for one in metric.dimensions] == [("InferenceComponentName", "c")]
    assert (metric.metric_name, metric.per_instance) == ("Invocations", True)
    component.delete_scaling_policy(**COPIES, PolicyName="copies")
    component.deregister_scalable_target(**COPIES)
    assert found() == [of_variant["ResourceId"]]


def test_a_predefined_metric_belongs_to_its_dimension(component):
    component.register_scalable_target(**COPIES, MinCapacity=1, MaxCapacity=4)
    component.register_scalable_target(**PLACE, MinCapacity=1, MaxCapacity=4)
    wrong = TRACKING | {"PredefinedMetricSpecification": PER_COPY}
    of_variant = POLICY | {"TargetTrackingScalingPolicyConfiguration": wrong}
    assert code_of(component.put_scaling_policy, **of_variant) == "ValidationException"
    assert code_of(component.put_scaling_policy, **POLICY | COPIES) == "ValidationException"
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    missing = COPIES | {"ResourceId": "inference-component/none"}
    assert code_of(component.register_scalable_target, **missing, **bounds) == "ObjectNotFoundException"

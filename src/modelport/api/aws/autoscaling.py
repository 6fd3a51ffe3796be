"""Application Auto Scaling of variants and inference components: targets, tracking policies, activities.

Source: Application Auto Scaling API reference; SageMaker, "Automatic scaling of models".
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from modelport.access.scopes import Scope
from modelport.api.aws.calls import Call, Service
from modelport.api.aws.errors import AwsError
from modelport.api.aws.numbered import read_token, write_token
from modelport.domain.errors import InvalidInput, NotFound, Refused
from modelport.domain.scaling import (
    COOLDOWN_S,
    ComponentCopies,
    MetricDimension,
    Scalable,
    ScalableTarget,
    ScalingActivity,
    ScalingPolicy,
    Suspended,
    TrackedMetric,
    VariantInstances,
)
from modelport.wire.documents import from_request, to_document

NAMESPACE = "sagemaker"
OF_VARIANTS = "sagemaker:variant:DesiredInstanceCount"
OF_COMPONENTS = "sagemaker:inference-component:DesiredCopyCount"
INVOCATIONS = {
    OF_VARIANTS: "SageMakerVariantInvocationsPerInstance",
    OF_COMPONENTS: "SageMakerInferenceComponentInvocationsPerCopy",
}
"""The predefined metric of each dimension."""
POLICY_TYPE = "TargetTrackingScaling"
PAGE = 50
ROLE = (
    "arn:aws:iam::{account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
_VARIANT = re.compile(r"endpoint/([^/]{1,63})/variant/([^/]{1,63})")
_COMPONENT = re.compile(r"inference-component/([^/]{1,63})")


def register(call: Call) -> dict[str, Any]:
    """Let a number of instances or copies follow policies, or change its bounds."""
    asked = call.parameters
    suspended = asked.get("SuspendedState")
    with _telling():
        target = call.platform.scaling.register(
            _scalable(asked),
            least=asked.get("MinCapacity"),
            most=asked.get("MaxCapacity"),
            role_arn=asked.get("RoleARN"),
            suspended=None if suspended is None else from_request(Suspended, suspended),
            principal=call.principal.name,
        )
    return {"ScalableTargetARN": _target_arn(call, target)}


def describe_targets(call: Call) -> dict[str, Any]:
    """Describe targets: all, or those of some variants or components."""
    wanted = call.parameters.get("ResourceIds")
    found = [one for one in _targets(call) if not wanted or _resource_id(one.spec.scalable) in wanted]
    return _page(call, "ScalableTargets", found, lambda target: _describe_target(call, target))


def deregister(call: Call) -> None:
    """Forget a target and its policies; its instances or copies stay as they are."""
    with _telling():
        call.platform.scaling.deregister(_scalable(call.parameters), principal=call.principal.name)


def put_policy(call: Call) -> dict[str, Any]:
    """Give a target a target tracking policy, or change it."""
    asked = call.parameters
    scalable = _scalable(asked)
    config = asked.get("TargetTrackingScalingPolicyConfiguration")
    if asked.get("PolicyType", POLICY_TYPE) != POLICY_TYPE or config is None:
        raise AwsError("ValidationException", f"modelport offers policies of type {POLICY_TYPE} only.")
    policy = ScalingPolicy(
        asked["PolicyName"],
        _metric(config, scalable),
        config["TargetValue"],
        datetime.now(UTC),
        scale_out_cooldown=float(config.get("ScaleOutCooldown", COOLDOWN_S)),
        scale_in_cooldown=float(config.get("ScaleInCooldown", COOLDOWN_S)),
        disable_scale_in=config.get("DisableScaleIn", False),
        configuration=config,
    )
    with _telling():
        call.platform.scaling.put_policy(scalable, policy, principal=call.principal.name)
    return {"PolicyARN": _policy_arn(call, _resource_id(scalable), policy), "Alarms": []}


def describe_policies(call: Call) -> dict[str, Any]:
    """Describe policies: all, those of some names, of a variant or component."""
    asked = call.parameters
    names, resource = asked.get("PolicyNames"), asked.get("ResourceId")
    found = [
        (target, policy)
        for target in _targets(call)
        for policy in target.status.policies
        if resource in (None, _resource_id(target.spec.scalable))
        and (not names or policy.policy_name in names)
    ]
    return _page(call, "ScalingPolicies", found, lambda pair: _describe_policy(call, *pair))


def delete_policy(call: Call) -> None:
    """Take a policy away."""
    scalable, name = _scalable(call.parameters), call.parameters["PolicyName"]
    with _telling():
        call.platform.scaling.delete_policy(scalable, name, principal=call.principal.name)


def describe_activities(call: Call) -> dict[str, Any]:
    """Describe what was changed, the newest first."""
    resource = call.parameters.get("ResourceId")
    found = [
        (target, activity)
        for target in _targets(call)
        for activity in target.status.activities
        if resource in (None, _resource_id(target.spec.scalable))
    ]
    found.sort(key=lambda pair: pair[1].at, reverse=True)
    return _page(call, "ScalingActivities", found, lambda pair: _describe_activity(*pair))


AUTOSCALING = Service(
    "application-autoscaling",
    {
        "RegisterScalableTarget": (Scope.ENDPOINTS_WRITE, register),
        "DescribeScalableTargets": (Scope.ENDPOINTS_READ, describe_targets),
        "DeregisterScalableTarget": (Scope.ENDPOINTS_WRITE, deregister),
        "PutScalingPolicy": (Scope.ENDPOINTS_WRITE, put_policy),
        "DescribeScalingPolicies": (Scope.ENDPOINTS_READ, describe_policies),
        "DeleteScalingPolicy": (Scope.ENDPOINTS_WRITE, delete_policy),
        "DescribeScalingActivities": (Scope.ENDPOINTS_READ, describe_activities),
    },
)


def _scalable(asked: Mapping[str, Any]) -> Scalable:
    """Return the variant or the inference component that a request speaks of."""
    dimension, resource = asked["ScalableDimension"], asked["ResourceId"]
    if asked["ServiceNamespace"] == NAMESPACE:
        if dimension == OF_VARIANTS and (variant := _VARIANT.fullmatch(resource)):
            return VariantInstances(variant[1], variant[2])
        if dimension == OF_COMPONENTS and (component := _COMPONENT.fullmatch(resource)):
            return ComponentCopies(component[1])
    raise AwsError(
        "ValidationException",
        f"modelport scales {NAMESPACE}, {OF_VARIANTS}, ResourceId endpoint/NAME/variant/NAME, and "
        f"{OF_COMPONENTS}, ResourceId inference-component/NAME; found {asked['ServiceNamespace']}, "
        f"{dimension}, {resource[:200]}",
    )


def _metric(config: Mapping[str, Any], scalable: Scalable) -> TrackedMetric:
    """Return the metric that a policy tracks."""
    predefined = config.get("PredefinedMetricSpecification")
    customized = config.get("CustomizedMetricSpecification")
    if (predefined is None) == (customized is None):
        raise AwsError(
            "ValidationException", "Give either a PredefinedMetricSpecification or a customized one."
        )
    if predefined is not None:
        dimension = _dimension(scalable)
        known, found = INVOCATIONS[dimension], predefined["PredefinedMetricType"]
        if found != known:
            raise AwsError(
                "ValidationException",
                f"modelport knows the predefined metric {known} only of {dimension}; found {found}.",
            )
        dimensions = _metric_dimensions(scalable)
        return TrackedMetric("AWS/SageMaker", "Invocations", "Sum", dimensions, per_instance=True)
    assert customized is not None  # noqa: S101 - one of both is there
    missing = [name for name in ("MetricName", "Namespace", "Statistic") if name not in customized]
    if missing:
        raise AwsError("ValidationException", f"CustomizedMetricSpecification has no {missing[0]}.")
    return from_request(TrackedMetric, dict(customized))


def _metric_dimensions(scalable: Scalable) -> tuple[MetricDimension, ...]:
    """Return the dimensions under which requests are counted."""
    if isinstance(scalable, ComponentCopies):
        return (MetricDimension("InferenceComponentName", scalable.component),)
    return (
        MetricDimension("EndpointName", scalable.endpoint),
        MetricDimension("VariantName", scalable.variant),
    )


@contextmanager
def _telling() -> Iterator[None]:
    """Tell what is wrong in this service's words."""
    try:
        yield
    except NotFound as error:
        raise AwsError("ObjectNotFoundException", _words(error)) from error
    except Refused as error:
        raise AwsError("LimitExceededException", _words(error)) from error
    except InvalidInput as error:
        raise AwsError("ValidationException", _words(error)) from error


def _words(error: NotFound | Refused | InvalidInput) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _targets(call: Call) -> list[ScalableTarget]:
    asked = call.parameters
    if asked["ServiceNamespace"] != NAMESPACE:
        return []
    wanted = asked.get("ScalableDimension")
    return [one for one in call.platform.scaling.targets() if wanted in (None, _dimension(one.spec.scalable))]


def _page(
    call: Call, member: str, found: Sequence[Any], describe: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    start, size = read_token(call.parameters.get("NextToken")), call.parameters.get("MaxResults", PAGE)
    more = start + size < len(found)
    return {
        member: [describe(one) for one in found[start : start + size]],
        "NextToken": write_token(start + size) if more else None,
    }


def _place(target: ScalableTarget) -> dict[str, Any]:
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": _resource_id(target.spec.scalable),
        "ScalableDimension": _dimension(target.spec.scalable),
    }


def _describe_target(call: Call, target: ScalableTarget) -> dict[str, Any]:
    spec = target.spec
    return _place(target) | {
        "MinCapacity": spec.min_capacity,
        "MaxCapacity": spec.max_capacity,
        "RoleARN": spec.role_arn or ROLE.format(account=call.account),
        "CreationTime": target.created_at,
        "SuspendedState": {
            "DynamicScalingInSuspended": spec.suspended_state.dynamic_scaling_in_suspended,
            "DynamicScalingOutSuspended": spec.suspended_state.dynamic_scaling_out_suspended,
            "ScheduledScalingSuspended": spec.suspended_state.scheduled_scaling_suspended,
        },
        "ScalableTargetARN": _target_arn(call, target),
    }


def _describe_policy(call: Call, target: ScalableTarget, policy: ScalingPolicy) -> dict[str, Any]:
    return _place(target) | {
        "PolicyARN": _policy_arn(call, _resource_id(target.spec.scalable), policy),
        "PolicyName": policy.policy_name,
        "PolicyType": POLICY_TYPE,
        "TargetTrackingScalingPolicyConfiguration": policy.configuration or to_document(policy),
        "Alarms": [],
        "CreationTime": policy.created_at,
    }


def _describe_activity(target: ScalableTarget, activity: ScalingActivity) -> dict[str, Any]:
    named = f"{target.name} {activity.at.isoformat()}"
    what = "copy" if target.spec.inference_component else "instance"
    return _place(target) | {
        "ActivityId": str(uuid.uuid5(uuid.NAMESPACE_URL, named)),
        "Description": f"Setting desired {what} count to {activity.after}.",
        "Cause": activity.cause,
        "StartTime": activity.at,
        "EndTime": activity.at,
        "StatusCode": "Successful" if activity.problem is None else "Failed",
        "StatusMessage": activity.problem or f"Successfully set desired {what} count to {activity.after}.",
    }


def _dimension(scalable: Scalable) -> str:
    return OF_COMPONENTS if isinstance(scalable, ComponentCopies) else OF_VARIANTS


def _resource_id(scalable: Scalable) -> str:
    if isinstance(scalable, ComponentCopies):
        return f"inference-component/{scalable.component}"
    return f"endpoint/{scalable.endpoint}/variant/{scalable.variant}"


def _target_arn(call: Call, target: ScalableTarget) -> str:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{target.name} {target.created_at.isoformat()}").hex
    return f"arn:aws:application-autoscaling:{call.region}:{call.account}:scalable-target/{name}"


def _policy_arn(call: Call, resource: str, policy: ScalingPolicy) -> str:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{resource} {policy.policy_name}")
    where = f"arn:aws:autoscaling:{call.region}:{call.account}:scalingPolicy:{name}"
    return f"{where}:resource/{NAMESPACE}/{resource}:policyName/{policy.policy_name}"

"""Application Auto Scaling of variants: targets, target tracking policies, activities.

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
    MetricDimension,
    ScalableTarget,
    ScalingActivity,
    ScalingPolicy,
    Suspended,
    TrackedMetric,
)
from modelport.wire.documents import from_request, to_document

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
POLICY_TYPE = "TargetTrackingScaling"
PAGE = 50
ROLE = (
    "arn:aws:iam::{account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
_RESOURCE = re.compile(r"endpoint/([^/]{1,63})/variant/([^/]{1,63})")


def register(call: Call) -> dict[str, Any]:
    """Let a variant's number of instances follow policies, or change its bounds."""
    asked = call.parameters
    endpoint, variant = _resource(asked)
    suspended = asked.get("SuspendedState")
    with _telling():
        target = call.platform.scaling.register(
            endpoint,
            variant,
            least=asked.get("MinCapacity"),
            most=asked.get("MaxCapacity"),
            role_arn=asked.get("RoleARN"),
            suspended=None if suspended is None else from_request(Suspended, suspended),
            principal=call.principal.name,
        )
    return {"ScalableTargetARN": _target_arn(call, target)}


def describe_targets(call: Call) -> dict[str, Any]:
    """Describe targets: all, or those of some variants."""
    wanted = call.parameters.get("ResourceIds")
    found = [one for one in _targets(call) if not wanted or _resource_id(one) in wanted]
    return _page(call, "ScalableTargets", found, lambda target: _describe_target(call, target))


def deregister(call: Call) -> None:
    """Forget a target and its policies; its instances stay as they are."""
    with _telling():
        call.platform.scaling.deregister(*_resource(call.parameters), principal=call.principal.name)


def put_policy(call: Call) -> dict[str, Any]:
    """Give a target a target tracking policy, or change it."""
    asked = call.parameters
    endpoint, variant = _resource(asked)
    config = asked.get("TargetTrackingScalingPolicyConfiguration")
    if asked.get("PolicyType", POLICY_TYPE) != POLICY_TYPE or config is None:
        raise AwsError("ValidationException", f"modelport offers policies of type {POLICY_TYPE} only.")
    policy = ScalingPolicy(
        asked["PolicyName"],
        _metric(config, endpoint, variant),
        config["TargetValue"],
        datetime.now(UTC),
        scale_out_cooldown=float(config.get("ScaleOutCooldown", COOLDOWN_S)),
        scale_in_cooldown=float(config.get("ScaleInCooldown", COOLDOWN_S)),
        disable_scale_in=config.get("DisableScaleIn", False),
        configuration=config,
    )
    with _telling():
        call.platform.scaling.put_policy(endpoint, variant, policy, principal=call.principal.name)
    return {"PolicyARN": _policy_arn(call, f"endpoint/{endpoint}/variant/{variant}", policy), "Alarms": []}


def describe_policies(call: Call) -> dict[str, Any]:
    """Describe policies: all, those of some names, of a variant."""
    asked = call.parameters
    names, resource = asked.get("PolicyNames"), asked.get("ResourceId")
    found = [
        (target, policy)
        for target in _targets(call)
        for policy in target.status.policies
        if resource in (None, _resource_id(target)) and (not names or policy.policy_name in names)
    ]
    return _page(call, "ScalingPolicies", found, lambda pair: _describe_policy(call, *pair))


def delete_policy(call: Call) -> None:
    """Take a policy away."""
    endpoint, variant = _resource(call.parameters)
    with _telling():
        call.platform.scaling.delete_policy(
            endpoint, variant, call.parameters["PolicyName"], principal=call.principal.name
        )


def describe_activities(call: Call) -> dict[str, Any]:
    """Describe what was changed, the newest first."""
    resource = call.parameters.get("ResourceId")
    found = [
        (target, activity)
        for target in _targets(call)
        for activity in target.status.activities
        if resource in (None, _resource_id(target))
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


def _resource(asked: Mapping[str, Any]) -> tuple[str, str]:
    """Return the endpoint and the variant that a request speaks of."""
    match = _RESOURCE.fullmatch(asked["ResourceId"])
    if asked["ServiceNamespace"] != NAMESPACE or asked["ScalableDimension"] != DIMENSION or match is None:
        raise AwsError(
            "ValidationException",
            f"modelport scales {NAMESPACE}, {DIMENSION}, ResourceId endpoint/NAME/variant/NAME; found "
            f"{asked['ServiceNamespace']}, {asked['ScalableDimension']}, {asked['ResourceId'][:200]}",
        )
    return match[1], match[2]


def _metric(config: Mapping[str, Any], endpoint: str, variant: str) -> TrackedMetric:
    """Return the metric that a policy tracks."""
    predefined = config.get("PredefinedMetricSpecification")
    customized = config.get("CustomizedMetricSpecification")
    if (predefined is None) == (customized is None):
        raise AwsError(
            "ValidationException", "Give either a PredefinedMetricSpecification or a customized one."
        )
    if predefined is not None:
        if predefined["PredefinedMetricType"] != INVOCATIONS:
            raise AwsError(
                "ValidationException", f"modelport knows the predefined metric {INVOCATIONS} only."
            )
        dimensions = (MetricDimension("EndpointName", endpoint), MetricDimension("VariantName", variant))
        return TrackedMetric("AWS/SageMaker", "Invocations", "Sum", dimensions, per_instance=True)
    assert customized is not None  # noqa: S101 - one of both is there
    missing = [name for name in ("MetricName", "Namespace", "Statistic") if name not in customized]
    if missing:
        raise AwsError("ValidationException", f"CustomizedMetricSpecification has no {missing[0]}.")
    return from_request(TrackedMetric, dict(customized))


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
    known = asked["ServiceNamespace"] == NAMESPACE and asked.get("ScalableDimension") in (None, DIMENSION)
    return call.platform.scaling.targets() if known else []


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
        "ResourceId": _resource_id(target),
        "ScalableDimension": DIMENSION,
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
        "PolicyARN": _policy_arn(call, _resource_id(target), policy),
        "PolicyName": policy.policy_name,
        "PolicyType": POLICY_TYPE,
        "TargetTrackingScalingPolicyConfiguration": policy.configuration or to_document(policy),
        "Alarms": [],
        "CreationTime": policy.created_at,
    }


def _describe_activity(target: ScalableTarget, activity: ScalingActivity) -> dict[str, Any]:
    named = f"{target.name} {activity.at.isoformat()}"
    return _place(target) | {
        "ActivityId": str(uuid.uuid5(uuid.NAMESPACE_URL, named)),
        "Description": f"Setting desired instance count to {activity.after}.",
        "Cause": activity.cause,
        "StartTime": activity.at,
        "EndTime": activity.at,
        "StatusCode": "Successful" if activity.problem is None else "Failed",
        "StatusMessage": activity.problem or f"Successfully set desired instance count to {activity.after}.",
    }


def _resource_id(target: ScalableTarget) -> str:
    return f"endpoint/{target.spec.endpoint}/variant/{target.spec.variant}"


def _target_arn(call: Call, target: ScalableTarget) -> str:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{target.name} {target.created_at.isoformat()}").hex
    return f"arn:aws:application-autoscaling:{call.region}:{call.account}:scalable-target/{name}"


def _policy_arn(call: Call, resource: str, policy: ScalingPolicy) -> str:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{resource} {policy.policy_name}")
    where = f"arn:aws:autoscaling:{call.region}:{call.account}:scalingPolicy:{name}"
    return f"{where}:resource/{NAMESPACE}/{resource}:policyName/{policy.policy_name}"

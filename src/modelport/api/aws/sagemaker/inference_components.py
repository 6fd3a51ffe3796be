"""Inference components: create, describe, list, update, delete.

Source: SageMaker, state machine of an inference component: one that is InService or Failed is updated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.paging import every, list_page
from modelport.api.aws.sagemaker.arns import arn_of
from modelport.api.aws.sagemaker.endpoints import find_endpoint
from modelport.api.aws.sagemaker.models import find_model
from modelport.api.aws.sagemaker.telling import finding
from modelport.control.services.inference_components import CHANGEABLE
from modelport.domain.errors import NotFound
from modelport.domain.inference_component import (
    STARTUP,
    ComponentChange,
    ComponentSpec,
    InferenceComponent,
)
from modelport.domain.registry import ContainerDefinition
from modelport.domain.resource import Kind
from modelport.wire.documents import from_request

NOUN = "inference component"

NOT_OFFERED = {
    "Specifications": "all instances are this machine: give one Specification.",
    "DeploymentConfig": "it replaces copies in its own way: leave it out.",
}
"""Members of a request that mean nothing here, and why: refused, not ignored."""


def create(call: Call) -> dict[str, Any]:
    """Wish for a new component."""
    request = call.parameters
    spec = from_request(ComponentSpec, {"VariantName": ""} | request)
    arn = arn_of(call, Kind.INFERENCE_COMPONENT, spec.inference_component_name)
    change = _read_change(request, request.get("RuntimeConfig"))
    find_endpoint(call, spec.endpoint_name)
    _check_model(call, change)
    _check_free(call, spec.inference_component_name, arn)
    spec = replace(
        spec,
        model_name=change.model_name,
        container=change.container,
        copy_count=spec.copy_count if change.copy_count is None else change.copy_count,
        startup_timeout_s=change.startup_timeout_s,
        request=request,
    )
    call.platform.inference_components.create(spec, principal=call.principal.name)
    return {"InferenceComponentArn": arn}


def describe(call: Call) -> dict[str, Any]:
    """Describe a component."""
    component = _find(call)
    spec, status = component.spec, component.status
    return {
        "InferenceComponentName": component.name,
        "InferenceComponentArn": arn_of(call, Kind.INFERENCE_COMPONENT, component.name),
        "EndpointName": spec.endpoint_name,
        "EndpointArn": arn_of(call, Kind.ENDPOINT, spec.endpoint_name),
        "VariantName": spec.variant_name,
        "FailureReason": status.failure_reason,
        "Specification": _specification(spec),
        "RuntimeConfig": {
            "DesiredCopyCount": spec.copy_count,
            "CurrentCopyCount": status.current_copy_count,
        },
        "CreationTime": component.created_at,
        "LastModifiedTime": component.modified_at,
        "InferenceComponentStatus": status.inference_component_status.value,
    }


def list_components(call: Call) -> dict[str, Any]:
    """List the components: all, or those of an endpoint or of variants of a name."""
    request, services = call.parameters, call.platform.inference_components
    endpoint, variant = request.get("EndpointNameEquals"), request.get("VariantNameEquals")
    page = list_page(
        request,
        [
            component
            for component in every(lambda after, limit: services.list(after=after, limit=limit))
            if endpoint in (None, component.spec.endpoint_name)
            and variant in (None, component.spec.variant_name)
        ],
        status=lambda component: str(component.status.inference_component_status.value),
    )
    return {
        "InferenceComponents": [
            {
                "InferenceComponentName": component.name,
                "InferenceComponentArn": arn_of(call, Kind.INFERENCE_COMPONENT, component.name),
                "EndpointName": component.spec.endpoint_name,
                "EndpointArn": arn_of(call, Kind.ENDPOINT, component.spec.endpoint_name),
                "VariantName": component.spec.variant_name,
                "InferenceComponentStatus": component.status.inference_component_status.value,
                "CreationTime": component.created_at,
                "LastModifiedTime": component.modified_at,
            }
            for component in page.items
        ],
        "NextToken": page.next_token,
    }


def update(call: Call) -> dict[str, Any]:
    """Wish that a component serve something else, or with other copies."""
    return _update(call, _read_change(call.parameters, call.parameters.get("RuntimeConfig")))


def update_runtime(call: Call) -> dict[str, Any]:
    """Wish for other copies."""
    return _update(call, _read_change({}, call.parameters["DesiredRuntimeConfig"]))


def delete(call: Call) -> None:
    """Wish that a component be gone."""
    name = call.parameters["InferenceComponentName"]
    with finding(NOUN, arn_of(call, Kind.INFERENCE_COMPONENT, name)):
        call.platform.inference_components.delete(name, principal=call.principal.name)


def _find(call: Call) -> InferenceComponent:
    name = call.parameters["InferenceComponentName"]
    with finding(NOUN, arn_of(call, Kind.INFERENCE_COMPONENT, name)):
        return call.platform.inference_components.describe(name)


def _update(call: Call, change: ComponentChange) -> dict[str, Any]:
    component = _find(call)
    arn = arn_of(call, Kind.INFERENCE_COMPONENT, component.name)
    if component.status.inference_component_status not in CHANGEABLE:
        raise AwsError("ValidationException", f'Cannot update in-progress {NOUN} "{arn}".')
    _check_model(call, change)
    call.platform.inference_components.update(component.name, change, principal=call.principal.name)
    return {"InferenceComponentArn": arn}


def _read_change(request: dict[str, Any], runtime: dict[str, Any] | None) -> ComponentChange:
    """Return what a request says of what a component serves, and of its copies.

    Args:
        request: Of the operation.
        runtime: Its runtime config; None: it has none.
    """
    for member, why in NOT_OFFERED.items():
        if member in request:
            raise AwsError("ValidationException", f"modelport does not offer {member}: {why}")
    specification = request.get("Specification", {})
    if "BaseInferenceComponentName" in specification:
        raise AwsError(
            "ValidationException",
            "modelport does not offer BaseInferenceComponentName: a component serves a whole model, "
            "no adapter of another one's.",
        )
    container = specification.get("Container")
    return ComponentChange(
        model_name=specification.get("ModelName"),
        container=None if container is None else _read_container(container),
        startup_timeout_s=specification.get(STARTUP, {}).get("ContainerStartupHealthCheckTimeoutInSeconds"),
        copy_count=None if runtime is None else runtime["CopyCount"],
        specification=specification,
    )


def _read_container(container: dict[str, Any]) -> ContainerDefinition:
    return replace(from_request(ContainerDefinition, container), model_data_url=container.get("ArtifactUrl"))


def _check_model(call: Call, change: ComponentChange) -> None:
    if change.model_name is not None:
        find_model(call, change.model_name)


def _check_free(call: Call, name: str, arn: str) -> None:
    try:
        call.platform.inference_components.describe(name)
    except NotFound:
        return
    raise AwsError("ValidationException", f'Cannot create already existing {NOUN} "{arn}".')


def _specification(spec: ComponentSpec) -> dict[str, Any]:
    """Return what a component serves, as SageMaker describes it: with its image among what is deployed."""
    asked: dict[str, Any] = spec.request.get("Specification", {})
    if "Container" not in asked:
        return asked
    container = {member: value for member, value in asked["Container"].items() if member != "Image"}
    if "Image" in asked["Container"]:
        container["DeployedImage"] = {"SpecifiedImage": asked["Container"]["Image"]}
    return asked | {"Container": container}

"""Endpoints: create, describe, list, update, weights and capacities, delete.

Source: SageMaker, state machine of an endpoint: only one that is InService is updated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.paging import every, list_page
from modelport.api.aws.sagemaker.arns import arn_of
from modelport.api.aws.sagemaker.telling import creating, finding
from modelport.domain.deployment import read_shift
from modelport.domain.endpoint import Endpoint, EndpointConfig, EndpointSpec, EndpointStatus
from modelport.domain.errors import Conflict, NotFound
from modelport.domain.planning.traffic import weights_of
from modelport.domain.resource import Kind
from modelport.wire.documents import from_request

PROPERTIES = ("DesiredWeight", "DesiredInstanceCount", "DataCaptureConfig")
CAPTURING = {True: "Started", False: "Stopped"}


def create(call: Call) -> dict[str, Any]:
    """Wish for a new endpoint."""
    request = call.parameters
    spec = from_request(EndpointSpec, request)
    arn = arn_of(call, Kind.ENDPOINT, spec.endpoint_name)
    _find_config(call, spec.endpoint_config_name)
    with creating("endpoint", arn):
        call.platform.endpoints.create(spec, principal=call.principal.name)
    return {"EndpointArn": arn}


def describe(call: Call) -> dict[str, Any]:
    """Describe an endpoint."""
    return describe_found(call, find_endpoint(call, call.parameters["EndpointName"]))


def describe_found(call: Call, endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint as SageMaker describes it."""
    status = endpoint.status
    serving = status.endpoint_config_name or endpoint.spec.endpoint_config_name
    asked = _asked(call, serving)
    serverless = {
        item["VariantName"]: item.get("ServerlessConfig") for item in asked.get("ProductionVariants", ())
    }
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": arn_of(call, Kind.ENDPOINT, endpoint.name),
        "EndpointConfigName": serving,
        "ProductionVariants": [
            {
                "VariantName": item.variant_name,
                "CurrentWeight": item.current_weight,
                "DesiredWeight": item.desired_weight,
                "CurrentInstanceCount": item.current_instance_count,
                "DesiredInstanceCount": item.desired_instance_count,
                "CurrentServerlessConfig": serverless.get(item.variant_name),
            }
            for item in status.production_variants
            if status.endpoint_config_name is not None
        ],
        "DataCaptureConfig": _capture(call, serving),
        "AsyncInferenceConfig": asked.get("AsyncInferenceConfig"),
        "EndpointStatus": status.endpoint_status.value,
        "FailureReason": status.failure_reason,
        "PendingDeploymentSummary": _pending(call, endpoint),
        "LastDeploymentConfig": endpoint.modelport.last_deployment_config,
        "CreationTime": endpoint.created_at,
        "LastModifiedTime": endpoint.modified_at,
    }


def list_endpoints(call: Call) -> dict[str, Any]:
    """List the endpoints."""
    services = call.platform.endpoints
    page = list_page(
        call.parameters,
        every(lambda after, limit: services.list(after=after, limit=limit)),
        status=lambda endpoint: str(endpoint.status.endpoint_status.value),
    )
    return {
        "Endpoints": [
            {
                "EndpointName": endpoint.name,
                "EndpointArn": arn_of(call, Kind.ENDPOINT, endpoint.name),
                "CreationTime": endpoint.created_at,
                "LastModifiedTime": endpoint.modified_at,
                "EndpointStatus": endpoint.status.endpoint_status.value,
            }
            for endpoint in page.items
        ],
        "NextToken": page.next_token,
    }


def update(call: Call) -> dict[str, Any]:
    """Wish for another config."""
    request = call.parameters
    endpoint = find_endpoint(call, request["EndpointName"])
    _check_in_service(call, endpoint)
    _find_config(call, request["EndpointConfigName"])
    retained = set(PROPERTIES if request.get("RetainAllVariantProperties") else ())
    retained -= {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", ())}
    with _changing(call, endpoint):
        call.platform.endpoints.update(
            endpoint.name,
            request["EndpointConfigName"],
            retain_weights="DesiredWeight" in retained,
            retain_counts="DesiredInstanceCount" in retained,
            deployment_config=request.get("DeploymentConfig", {}),
            retain_deployment=request.get("RetainDeploymentConfig", False),
            principal=call.principal.name,
        )
    return {"EndpointArn": arn_of(call, Kind.ENDPOINT, endpoint.name)}


def update_weights(call: Call) -> dict[str, Any]:
    """Wish for other weights or instance counts."""
    endpoint = find_endpoint(call, call.parameters["EndpointName"])
    _check_in_service(call, endpoint)
    wished = call.parameters["DesiredWeightsAndCapacities"]
    with _changing(call, endpoint):
        call.platform.endpoints.set_weights(
            endpoint.name,
            {item["VariantName"]: item["DesiredWeight"] for item in wished if "DesiredWeight" in item},
            {
                item["VariantName"]: item["DesiredInstanceCount"]
                for item in wished
                if "DesiredInstanceCount" in item
            },
            principal=call.principal.name,
        )
    return {"EndpointArn": arn_of(call, Kind.ENDPOINT, endpoint.name)}


def delete(call: Call) -> None:
    """Wish that an endpoint be gone."""
    name = call.parameters["EndpointName"]
    with finding("endpoint", arn_of(call, Kind.ENDPOINT, name)):
        call.platform.endpoints.delete(name, principal=call.principal.name)


def find_endpoint(call: Call, name: str) -> Endpoint:
    """Return the endpoint of a name.

    Raises:
        AwsError: There is none.
    """
    with finding("endpoint", arn_of(call, Kind.ENDPOINT, name)):
        return call.platform.endpoints.describe(name)


def _find_config(call: Call, name: str) -> EndpointConfig:
    with finding("endpoint configuration", arn_of(call, Kind.ENDPOINT_CONFIG, name)):
        return call.platform.endpoints.config(name)


def _pending(call: Call, endpoint: Endpoint) -> dict[str, Any] | None:
    """Return how far an update is that moves traffic step by step; None where none is under way."""
    stage, wish = endpoint.modelport.stage, endpoint.spec
    if stage is None or endpoint.settled:
        return None
    try:
        config = call.platform.endpoints.config(wish.endpoint_config_name).spec
    except NotFound:
        return None
    instances = sum(item.initial_instance_count for item in config.production_variants)
    shares = read_shift(wish.deployment_config, instances).shares
    reached = shares[stage.step] if stage.since else shares[stage.step - 1] if stage.step else 0.0
    weights = weights_of(config, endpoint.modelport.weights)
    return {
        "EndpointConfigName": config.endpoint_config_name,
        "StartTime": stage.began,
        "ProductionVariants": [
            {
                "VariantName": item.variant_name,
                "CurrentWeight": weights[item.variant_name] * reached,
                "DesiredWeight": weights[item.variant_name],
                "DesiredInstanceCount": item.initial_instance_count,
                "VariantStatus": [
                    {
                        "Status": "Baking" if stage.since else "ActivatingTraffic",
                        "StatusMessage": f"{reached:.0%} of the traffic",
                        "StartTime": stage.since or endpoint.modified_at,
                    }
                ],
            }
            for item in config.production_variants
        ],
    }


def _check_in_service(call: Call, endpoint: Endpoint) -> None:
    status = endpoint.status.endpoint_status
    if status is EndpointStatus.IN_SERVICE:
        return
    arn = arn_of(call, Kind.ENDPOINT, endpoint.name)
    told = "in-progress" if status is not EndpointStatus.FAILED else "failed"
    raise AwsError("ValidationException", f'Cannot update {told} endpoint "{arn}".')


@contextmanager
def _changing(call: Call, endpoint: Endpoint) -> Iterator[None]:
    """Tell of an endpoint that has begun to change since it was looked at; other conflicts in our words."""
    try:
        yield
    except Conflict as error:
        if find_endpoint(call, endpoint.name).settled:
            raise
        arn = arn_of(call, Kind.ENDPOINT, endpoint.name)
        raise AwsError("ValidationException", f'Cannot update in-progress endpoint "{arn}".') from error


def _asked(call: Call, config_name: str) -> dict[str, Any]:
    """Return a config as an AWS client wrote it; empty where none did, or it is gone."""
    try:
        return call.platform.endpoints.config(config_name).spec.request
    except NotFound:
        return {}


def _capture(call: Call, config_name: str) -> dict[str, Any] | None:
    try:
        spec = call.platform.endpoints.config(config_name).spec
    except NotFound:
        return None
    capture = spec.data_capture_config
    if capture is None:
        return None
    return {
        "EnableCapture": capture.enable_capture,
        "CaptureStatus": CAPTURING[capture.enable_capture],
        "CurrentSamplingPercentage": int(capture.initial_sampling_percentage),
        "DestinationS3Uri": capture.destination_s3_uri or "",
        "KmsKeyId": spec.request.get("DataCaptureConfig", {}).get("KmsKeyId", ""),
    }

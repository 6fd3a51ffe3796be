"""Endpoint configs: create, describe, list, delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.paging import every, list_page
from modelport.api.aws.sagemaker.arns import arn_of
from modelport.api.aws.sagemaker.models import find_model
from modelport.api.aws.sagemaker.telling import creating, finding
from modelport.domain.endpoint import EndpointConfigSpec
from modelport.domain.errors import InvalidInput
from modelport.domain.invocations import read_folder
from modelport.domain.resource import Kind
from modelport.wire.documents import from_request, to_document

NOT_OFFERED = ("ExplainerConfig",)
"""Members that change what an endpoint does and that mean nothing here yet: refused, not ignored."""


def create(call: Call) -> dict[str, Any]:
    """Make a config."""
    request = call.parameters
    for member in NOT_OFFERED:
        if member in request:
            raise AwsError("ValidationException", f"modelport does not offer {member}.")
    name = request["EndpointConfigName"]
    arn = arn_of(call, Kind.ENDPOINT_CONFIG, name)
    spec = replace(from_request(EndpointConfigSpec, request), request=request)
    _check_asynchronous(request.get("AsyncInferenceConfig"))
    if spec.holds_components and "ExecutionRoleArn" not in request:
        raise AwsError(
            "ValidationException",
            "An endpoint configuration whose variants have no ModelName needs an ExecutionRoleArn.",
        )
    for variant in spec.production_variants + spec.shadow_production_variants:
        if variant.model_name:
            find_model(call, variant.model_name)
    with creating("endpoint configuration", arn):
        call.platform.endpoints.create_config(spec, principal=call.principal.name)
    return {"EndpointConfigArn": arn}


def describe(call: Call) -> dict[str, Any]:
    """Describe a config."""
    name = call.parameters["EndpointConfigName"]
    arn = arn_of(call, Kind.ENDPOINT_CONFIG, name)
    with finding("endpoint configuration", arn):
        config = call.platform.endpoints.config(name)
    document = config.spec.request or to_document(config.spec)
    return document | {"EndpointConfigArn": arn, "CreationTime": config.created_at}


def list_configs(call: Call) -> dict[str, Any]:
    """List the configs."""
    services = call.platform.endpoints
    page = list_page(call.parameters, every(lambda after, limit: services.configs(after=after, limit=limit)))
    return {
        "EndpointConfigs": [
            {
                "EndpointConfigName": config.name,
                "EndpointConfigArn": arn_of(call, Kind.ENDPOINT_CONFIG, config.name),
                "CreationTime": config.created_at,
            }
            for config in page.items
        ],
        "NextToken": page.next_token,
    }


def delete(call: Call) -> None:
    """Delete a config, also one that an endpoint serves: it goes on serving."""
    name = call.parameters["EndpointConfigName"]
    with finding("endpoint configuration", arn_of(call, Kind.ENDPOINT_CONFIG, name)):
        call.platform.endpoints.delete_config(name, in_use=True, principal=call.principal.name)


def _check_asynchronous(config: dict[str, Any] | None) -> None:
    """Refuse what an asynchronous endpoint could not do."""
    if config is None:
        return
    output = config["OutputConfig"]
    for topic in ("SuccessTopic", "ErrorTopic"):
        if topic in output.get("NotificationConfig", {}):
            raise AwsError(
                "ValidationException", f"modelport sends no {topic}: look for the object at OutputLocation."
            )
    if "S3OutputPath" not in output:
        raise AwsError("ValidationException", "AsyncInferenceConfig.OutputConfig has no S3OutputPath.")
    try:
        for path in ("S3OutputPath", "S3FailurePath"):
            if path in output:
                read_folder(output[path], path)
    except InvalidInput as error:
        raise AwsError("ValidationException", error.message) from error

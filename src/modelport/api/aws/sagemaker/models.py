"""Models: CreateModel, DescribeModel, ListModels, DeleteModel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.paging import every, list_page
from modelport.api.aws.sagemaker.arns import arn_of, name_in
from modelport.api.aws.sagemaker.telling import creating, finding
from modelport.domain.registry import ContainerDefinition, Model, ModelSpec
from modelport.domain.resource import Kind
from modelport.wire.documents import from_request, to_document


def create(call: Call) -> dict[str, Any]:
    """Make a Model of a version of the registry, of an archive, or of several in a row."""
    request = call.parameters
    arn = arn_of(call, Kind.MODEL, request["ModelName"])
    spec = from_request(ModelSpec, request | {"PrimaryContainer": {}})
    first, *further = map(container_of, _containers(request))
    spec = replace(spec, primary_container=first, further_containers=tuple(further), request=request)
    with creating("model", arn):
        call.platform.endpoints.create_model(spec, principal=call.principal.name)
    return {"ModelArn": arn}


def describe(call: Call) -> dict[str, Any]:
    """Describe a Model."""
    return describe_found(call, find_model(call, call.parameters["ModelName"]))


def find_model(call: Call, name: str) -> Model:
    """Return the Model of a name.

    Raises:
        AwsError: There is none.
    """
    with finding("model", arn_of(call, Kind.MODEL, name)):
        return call.platform.endpoints.model(name)


def describe_found(call: Call, model: Model) -> dict[str, Any]:
    """Return a Model as SageMaker describes it."""
    arn = arn_of(call, Kind.MODEL, model.name)
    return _request_of(call, model) | {"ModelArn": arn, "CreationTime": model.created_at}


def list_models(call: Call) -> dict[str, Any]:
    """List the Models."""
    services = call.platform.endpoints
    page = list_page(call.parameters, every(lambda after, limit: services.models(after=after, limit=limit)))
    return {
        "Models": [
            {
                "ModelName": model.name,
                "ModelArn": arn_of(call, Kind.MODEL, model.name),
                "CreationTime": model.created_at,
            }
            for model in page.items
        ],
        "NextToken": page.next_token,
    }


def delete(call: Call) -> None:
    """Delete a Model, whoever serves it."""
    name = call.parameters["ModelName"]
    with finding("model", arn_of(call, Kind.MODEL, name)):
        call.platform.endpoints.delete_model(name, in_use=True, principal=call.principal.name)


def container_of(request: dict[str, Any]) -> ContainerDefinition:
    """Return what planners see of a container.

    Args:
        request: SageMaker's ContainerDefinition, or that of a model package.

    Raises:
        AwsError: Its data is not one archive.
    """
    container = from_request(ContainerDefinition, request)
    if container.model_package_name is not None:
        name = name_in(container.model_package_name, Kind.MODEL_PACKAGE)
        return replace(container, model_package_name=name)
    source = request.get("ModelDataSource", {}).get("S3DataSource")
    if source is not None:
        if source.get("S3DataType") != "S3Object":
            raise AwsError(
                "ValidationException",
                f"ModelDataSource has S3DataType {source.get('S3DataType')}; modelport reads S3Object only: "
                "pack the model as one model.tar.gz.",
            )
        return replace(container, model_data_url=source["S3Uri"])
    return container


def _containers(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a request, in their order."""
    if "Containers" in request and "PrimaryContainer" in request:
        raise AwsError("ValidationException", "Give either PrimaryContainer or Containers, not both.")
    containers: list[dict[str, Any]] = request.get("Containers") or [request.get("PrimaryContainer", {})]
    if containers == [{}]:
        raise AwsError("ValidationException", "A model needs a PrimaryContainer.")
    if len(containers) > 1 and request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct":
        raise AwsError(
            "ValidationException",
            "InferenceExecutionConfig has Mode Direct; modelport serves several containers in Mode Serial: "
            "make a model of each.",
        )
    return containers


def _request_of(call: Call, model: Model) -> dict[str, Any]:
    """Return a Model as it was asked for; for one that no AWS client made, as one would have."""
    if model.spec.request:
        return model.spec.request
    document = to_document(model.spec)
    package = model.spec.primary_container.model_package_name
    if package is not None:
        document["PrimaryContainer"]["ModelPackageName"] = arn_of(call, Kind.MODEL_PACKAGE, package)
    return document

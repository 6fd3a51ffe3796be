"""The registry: model package groups and model packages.

Source: SageMaker, CreateModelPackage: a package of a group gets the group's next version; without
ModelApprovalStatus it is PendingManualApproval.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.paging import every, list_page
from modelport.api.aws.sagemaker.arns import arn_of, name_in
from modelport.api.aws.sagemaker.models import container_of
from modelport.api.aws.sagemaker.telling import creating, finding
from modelport.domain.errors import Conflict, InvalidInput, NotFound
from modelport.domain.names import VersionReference, parse_version
from modelport.domain.registry import ApprovalStatus, GroupSpec, ModelPackage, ModelPackageGroup, PackageSpec
from modelport.domain.resource import Kind
from modelport.wire.documents import from_request, to_document

GROUP = "model package group"
PACKAGE = "model package"


def create_group(call: Call) -> dict[str, Any]:
    """Make an empty group."""
    request = call.parameters
    spec = from_request(GroupSpec, request)
    arn = arn_of(call, Kind.MODEL_PACKAGE_GROUP, spec.model_package_group_name)
    with creating(GROUP, arn):
        call.platform.registry.create_group(
            spec.model_package_group_name,
            description=spec.model_package_group_description,
            tags=spec.tags,
            request=request,
            principal=call.principal.name,
        )
    return {"ModelPackageGroupArn": arn}


def describe_group(call: Call) -> dict[str, Any]:
    """Describe a group."""
    return describe_found_group(call, _find_group(call))


def describe_found_group(call: Call, group: ModelPackageGroup) -> dict[str, Any]:
    """Return a group as SageMaker describes it."""
    return (group.spec.request or to_document(group.spec)) | {
        "ModelPackageGroupArn": arn_of(call, Kind.MODEL_PACKAGE_GROUP, group.name),
        "CreationTime": group.created_at,
        "CreatedBy": {},
        "ModelPackageGroupStatus": group.status.model_package_group_status,
    }


def list_groups(call: Call) -> dict[str, Any]:
    """List the groups."""
    registry = call.platform.registry
    page = list_page(call.parameters, every(lambda after, limit: registry.groups(after=after, limit=limit)))
    return {
        "ModelPackageGroupSummaryList": [
            {
                "ModelPackageGroupName": group.name,
                "ModelPackageGroupArn": arn_of(call, Kind.MODEL_PACKAGE_GROUP, group.name),
                "ModelPackageGroupDescription": group.spec.model_package_group_description,
                "CreationTime": group.created_at,
                "ModelPackageGroupStatus": group.status.model_package_group_status,
            }
            for group in page.items
        ],
        "NextToken": page.next_token,
    }


def delete_group(call: Call) -> None:
    """Delete an empty group."""
    group = _find_group(call)
    try:
        call.platform.registry.delete_group(group.name, principal=call.principal.name)
    except Conflict as error:
        raise AwsError("ConflictException", error.message) from error


def create(call: Call) -> dict[str, Any]:
    """Register an archive as the next version of a group, or a new version of what is registered."""
    request = call.parameters
    if "ModelPackageGroupName" not in request:
        raise AwsError(
            "ValidationException",
            "modelport keeps packages in groups only: give ModelPackageGroupName, not ModelPackageName.",
        )
    group = name_in(request["ModelPackageGroupName"], Kind.MODEL_PACKAGE_GROUP)
    defaults = {"ModelApprovalStatus": ApprovalStatus.PENDING.value}
    spec = from_request(PackageSpec, defaults | request | {"ModelPackageGroupName": group})
    spec = replace(spec, container=_container(request), request=request)
    with finding(GROUP, arn_of(call, Kind.MODEL_PACKAGE_GROUP, group)):
        try:
            package = call.platform.registry.register_archive(spec, principal=call.principal.name)
        except Conflict as error:
            raise AwsError("ConflictException", error.message) from error
    return {"ModelPackageArn": arn_of(call, Kind.MODEL_PACKAGE, package.name)}


def describe(call: Call) -> dict[str, Any]:
    """Describe a version."""
    return describe_found(call, _find(call, call.parameters["ModelPackageName"]))


def describe_found(call: Call, package: ModelPackage) -> dict[str, Any]:
    """Return a version as SageMaker describes it."""
    spec, status = package.spec, package.status
    arn = arn_of(call, Kind.MODEL_PACKAGE, package.name)
    return (spec.request or to_document(spec)) | {
        "ModelPackageName": arn.rpartition(":model-package/")[2].partition("/")[0],
        "ModelPackageGroupName": spec.model_package_group_name,
        "ModelPackageVersion": status.model_package_version,
        "ModelPackageArn": arn,
        "ModelPackageDescription": spec.model_package_description,
        "CreationTime": package.created_at,
        "LastModifiedTime": package.modified_at,
        "ModelPackageStatus": status.model_package_status,
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelApprovalStatus": status.model_approval_status.value,
        "ApprovalDescription": status.approval_description,
        "CustomerMetadataProperties": spec.customer_metadata_properties,
    }


def list_packages(call: Call) -> dict[str, Any]:
    """List the versions of a group, or of all groups where versioned packages are asked for."""
    wanted = call.parameters.get("ModelApprovalStatus")
    found = [package for group in _groups_listed(call) for package in versions_of(call, group)]
    page = list_page(
        call.parameters,
        [item for item in found if wanted in (None, item.status.model_approval_status.value)],
    )
    return {
        "ModelPackageSummaryList": [describe_found(call, package) for package in page.items],
        "NextToken": page.next_token,
    }


def update(call: Call) -> dict[str, Any]:
    """Approve or reject a version, or change what is said of it."""
    request = call.parameters
    package = _find(call, request["ModelPackageArn"])
    registry, principal = call.platform.registry, call.principal.name
    if "CustomerMetadataProperties" in request or "CustomerMetadataPropertiesToRemove" in request:
        removed = set(request.get("CustomerMetadataPropertiesToRemove", ()))
        kept = {k: v for k, v in package.spec.customer_metadata_properties.items() if k not in removed}
        registry.set_metadata(
            reference_of(package), kept | request.get("CustomerMetadataProperties", {}), principal=principal
        )
    if "ModelApprovalStatus" in request:
        registry.set_approval(
            reference_of(package),
            ApprovalStatus(request["ModelApprovalStatus"]),
            request.get("ApprovalDescription"),
            principal=principal,
        )
    return {"ModelPackageArn": arn_of(call, Kind.MODEL_PACKAGE, package.name)}


def delete(call: Call) -> None:
    """Delete a version."""
    package = _find(call, call.parameters["ModelPackageName"])
    try:
        call.platform.registry.delete_version(reference_of(package), principal=call.principal.name)
    except Conflict as error:
        raise AwsError("ConflictException", error.message) from error


def describe_batch(call: Call) -> dict[str, Any]:
    """Describe several versions at once; those that are not there are told beside the others."""
    found: dict[str, Any] = {}
    missing: dict[str, Any] = {}
    for arn in call.parameters["ModelPackageArnList"]:
        try:
            found[arn] = describe_found(call, _find(call, arn))
        except AwsError as error:
            missing[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": missing}


def reference_of(package: ModelPackage) -> VersionReference:
    """Return the reference of one version."""
    return parse_version(package.name)


def _find_group(call: Call) -> ModelPackageGroup:
    name = name_in(call.parameters["ModelPackageGroupName"], Kind.MODEL_PACKAGE_GROUP)
    with finding(GROUP, arn_of(call, Kind.MODEL_PACKAGE_GROUP, name)):
        return call.platform.registry.group(name)


def _groups_listed(call: Call) -> list[ModelPackageGroup]:
    if "ModelPackageGroupName" in call.parameters:
        return [_find_group(call)]
    if call.parameters.get("ModelPackageType", "Unversioned") == "Unversioned":
        return []  # every package here is a version of a group
    groups = call.platform.registry.groups
    return every(lambda after, limit: groups(after=after, limit=limit))


def versions_of(call: Call, group: ModelPackageGroup) -> list[ModelPackage]:
    """Return all versions of a group."""
    versions = call.platform.registry.versions
    return every(lambda after, limit: versions(group.name, after=after, limit=limit))


def _find(call: Call, text: str) -> ModelPackage:
    name = name_in(text, Kind.MODEL_PACKAGE)
    try:
        return call.platform.registry.version(parse_version(name))
    except (NotFound, InvalidInput) as error:
        arn = arn_of(call, Kind.MODEL_PACKAGE, name)
        raise AwsError("ValidationException", f'Could not find {PACKAGE} "{arn}".') from error


def _container(request: dict[str, Any]) -> Any:
    containers = request.get("InferenceSpecification", {}).get("Containers")
    if not containers:
        return None
    if len(containers) > 1:
        raise AwsError(
            "ValidationException",
            f"InferenceSpecification has {len(containers)} containers; modelport serves models of one.",
        )
    return container_of(containers[0])

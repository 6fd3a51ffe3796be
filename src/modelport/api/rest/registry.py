"""Model package groups, versions, aliases."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.api.callers import may
from modelport.api.platform import Here
from modelport.api.rest.bodies import answer, body, nothing
from modelport.api.rest.schemas import serves
from modelport.control.services.page import Page
from modelport.domain.names import VersionReference, check_name, parse_version
from modelport.domain.registry import ApprovalStatus, ModelPackage, ModelPackageGroup
from modelport.domain.resource import Tag

router = APIRouter(prefix="/api/v1", tags=["registry"])
Reader = Annotated[Principal, may(Scope.REGISTRY_READ)]
Writer = Annotated[Principal, may(Scope.REGISTRY_WRITE)]


class NewGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wish for an empty group."""

    name: str
    description: str | None = None
    tags: tuple[Tag, ...] = ()


class NewVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wish for a version; `digest` is the SHA-256 of its uploaded manifest."""

    digest: str
    approval_status: ApprovalStatus = ApprovalStatus.APPROVED
    framework: str | None = None
    estimator: str | None = None
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    tags: tuple[Tag, ...] = ()
    parent_version: int | None = None
    description: str | None = None


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision about a version."""

    approval_status: ApprovalStatus
    approval_description: str | None = None


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an alias points."""

    version: int


@router.get("/model-package-groups", **serves(Page[ModelPackageGroup]))
def list_groups(platform: Here, _: Reader, after: str | None = None, limit: int | None = None) -> Response:
    """List the registered models."""
    return answer(platform.registry.groups(after=after, limit=limit))


@router.post("/model-package-groups", **serves(ModelPackageGroup, status=201))
def create_group(platform: Here, caller: Writer, wish: Annotated[NewGroup, body(NewGroup)]) -> Response:
    """Make an empty group."""
    group = platform.registry.create_group(
        wish.name, description=wish.description, tags=wish.tags, principal=caller.name
    )
    return answer(group, status=201)


@router.get("/model-package-groups/{group}", **serves(ModelPackageGroup))
def describe_group(platform: Here, _: Reader, group: str) -> Response:
    """Describe a group and its aliases."""
    return answer(platform.registry.group(group))


@router.delete("/model-package-groups/{group}", **serves(None, status=204))
def delete_group(platform: Here, caller: Writer, group: str) -> Response:
    """Delete an empty group."""
    platform.registry.delete_group(group, principal=caller.name)
    return nothing()


@router.get("/model-package-groups/{group}/versions", **serves(Page[ModelPackage]))
def list_versions(
    platform: Here, _: Reader, group: str, after: str | None = None, limit: int | None = None
) -> Response:
    """List the versions of a group, newest first."""
    return answer(platform.registry.versions(group, after=after, limit=limit))


@router.post("/model-package-groups/{group}/versions", **serves(ModelPackage, status=201))
def register_version(
    platform: Here, caller: Writer, group: str, wish: Annotated[NewVersion, body(NewVersion)]
) -> Response:
    """Register an uploaded bundle as the next version; the group is made when there is none."""
    package = platform.registry.register_version(
        group,
        wish.digest,
        approval=wish.approval_status,
        framework=wish.framework,
        estimator=wish.estimator,
        metrics=wish.metrics,
        metadata=wish.metadata,
        tags=wish.tags,
        parent_version=wish.parent_version,
        description=wish.description,
        principal=caller.name,
    )
    return answer(package, status=201)


@router.get("/model-package-groups/{group}/versions/{version}", **serves(ModelPackage))
def describe_version(platform: Here, _: Reader, group: str, version: int) -> Response:
    """Describe a version."""
    return answer(platform.registry.version(_reference(group, version)))


@router.patch("/model-package-groups/{group}/versions/{version}", **serves(ModelPackage))
def set_approval(
    platform: Here, caller: Writer, group: str, version: int, wish: Annotated[Approval, body(Approval)]
) -> Response:
    """Approve or reject a version."""
    package = platform.registry.set_approval(
        _reference(group, version), wish.approval_status, wish.approval_description, principal=caller.name
    )
    return answer(package)


@router.delete("/model-package-groups/{group}/versions/{version}", **serves(None, status=204))
def delete_version(
    platform: Here, caller: Writer, group: str, version: int, *, dry_run: bool = False
) -> Response:
    """Delete a version that nothing uses; with `dry_run`, only tell whether it could be."""
    platform.registry.delete_version(_reference(group, version), dry_run=dry_run, principal=caller.name)
    return nothing()


@router.put("/model-package-groups/{group}/aliases/{alias}", **serves(ModelPackageGroup))
def set_alias(
    platform: Here, caller: Writer, group: str, alias: str, wish: Annotated[Pointer, body(Pointer)]
) -> Response:
    """Let an alias point at a version. Traffic does not move."""
    return answer(platform.registry.set_alias(group, alias, wish.version, principal=caller.name))


@router.delete("/model-package-groups/{group}/aliases/{alias}", **serves(ModelPackageGroup))
def remove_alias(platform: Here, caller: Writer, group: str, alias: str) -> Response:
    """Forget an alias."""
    return answer(platform.registry.remove_alias(group, alias, principal=caller.name))


@router.get("/model-packages/{reference}", **serves(ModelPackage))
def resolve_reference(platform: Here, _: Reader, reference: str) -> Response:
    """Describe the version that `name:3`, `name@alias` or `name` points at now."""
    return answer(platform.registry.version(parse_version(reference)))


def _reference(group: str, version: int) -> VersionReference:
    return VersionReference(check_name(group, what="model"), version=version)

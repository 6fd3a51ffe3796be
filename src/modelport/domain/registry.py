"""Model package groups and model packages: names, versions, approval, aliases."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from modelport.domain.resource import Nothing, Resource, Tag


class ApprovalStatus(StrEnum):
    """Whether a version may be deployed."""

    PENDING = "PendingManualApproval"
    APPROVED = "Approved"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """The wish for a group."""

    model_package_group_name: str
    model_package_group_description: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """What is so of a group."""

    model_package_group_status: str = "Completed"


@dataclass(frozen=True, slots=True)
class GroupNotes:
    """Ours: the aliases, and the last version number given (never reused).

    `aliases` maps an alias to a version number.
    """

    aliases: dict[str, int] = field(default_factory=dict)
    last_version: int = 0


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """The wish for a version.

    Args:
        model_package_group_name: Its group.
        model_package_description: For people.
        model_approval_status: As asked at registration.
        customer_metadata_properties: Free map; its keys are never re-cased.
        tags: AWS tags.
    """

    model_package_group_name: str
    model_package_description: str | None = None
    model_approval_status: ApprovalStatus = ApprovalStatus.APPROVED
    customer_metadata_properties: dict[str, str] = field(default_factory=dict)
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class PackageStatus:
    """What is so of a version."""

    model_package_version: int
    model_package_status: str = "Completed"
    model_approval_status: ApprovalStatus = ApprovalStatus.APPROVED
    approval_description: str | None = None


@dataclass(frozen=True, slots=True)
class PackageNotes:
    """Ours.

    Args:
        digest: SHA-256 of the manifest; names the model everywhere.
        files: The manifest's files: name to SHA-256.
        framework: For example `scikit-learn 1.9.1`.
        estimator: Class of the final estimator.
        parent_version: The version it was trained to replace, or None.
        metrics: Metric name to number, as measured by whoever registered it.
        proof: The proof's summary (bars, largest differences, rows), as in `proof.json`.
    """

    digest: str
    files: dict[str, str] = field(default_factory=dict)
    framework: str | None = None
    estimator: str | None = None
    parent_version: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    proof: dict[str, Any] = field(default_factory=dict)


ModelPackageGroup = Resource[GroupSpec, GroupStatus, GroupNotes]
ModelPackage = Resource[PackageSpec, PackageStatus, PackageNotes]


@dataclass(frozen=True, slots=True)
class ContainerDefinition:
    """Which package a model serves: `NAME:3`."""

    model_package_name: str


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The wish for a Model: a deployable pointer to one version."""

    model_name: str
    primary_container: ContainerDefinition
    execution_role_arn: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelNotes:
    """Ours: the digest the version had when the Model was made."""

    digest: str
    model_version: str


Model = Resource[ModelSpec, Nothing, ModelNotes]

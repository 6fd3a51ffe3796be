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
    """The wish for a group. `request`: as an AWS client wrote it, see `domain.resource`."""

    model_package_group_name: str
    model_package_group_description: str | None = None
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)


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
class ContainerDefinition:
    """What a model serves: a version of the registry, or an archive.

    Args:
        model_package_name: `NAME:3`; None: `model_data_url` tells.
        image: Image URI; tells which local environment runs custom code. None: the archive speaks for itself.
        model_data_url: `s3://BUCKET/KEY` of an archive with the model.
        environment: Variables of custom code.
        mode: MultiModel: `model_data_url` is where the archives of its models lie, each of which is asked by
            its key there. Anything else: it is one.
    """

    model_package_name: str | None = None
    image: str | None = None
    model_data_url: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """The wish for a version.

    Args:
        model_package_group_name: Its group.
        model_package_description: For people.
        model_approval_status: As asked at registration.
        customer_metadata_properties: Free map; its keys are never re-cased.
        container: The archive an AWS client registered; None: the version is a bundle, see `PackageNotes`.
        tags: AWS tags.
        client_token: Names one request: the same sent again gives the same answer. None: it was not given.
        request: As an AWS client wrote it, see `domain.resource`.
    """

    model_package_group_name: str
    model_package_description: str | None = None
    model_approval_status: ApprovalStatus = ApprovalStatus.APPROVED
    customer_metadata_properties: dict[str, str] = field(default_factory=dict)
    container: ContainerDefinition | None = None
    tags: tuple[Tag, ...] = ()
    client_token: str | None = None
    request: dict[str, Any] = field(default_factory=dict)


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
        digest: SHA-256 of the manifest; names the model everywhere. Empty where an AWS client registered a
            package that only points at an archive: it is looked into when a Model of it is deployed.
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
class ModelSpec:
    """The wish for a Model: a deployable pointer to a version or to an archive.

    Args:
        model_name: Its name.
        primary_container: What it serves.
        further_containers: What its answers go through then, one after the other.
        execution_role_arn: Echoed only.
        tags: AWS tags.
        request: As an AWS client wrote it, see `domain.resource`.
    """

    model_name: str
    primary_container: ContainerDefinition
    further_containers: tuple[ContainerDefinition, ...] = ()
    execution_role_arn: str | None = None
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def containers(self) -> tuple[ContainerDefinition, ...]:
        """All of them, in their order."""
        return (self.primary_container, *self.further_containers)


MULTI_MODEL = "MultiModel"
"""Mode of a container that stands for many models."""


class CodeUse(StrEnum):
    """When what an archive holds is code, which runs in replicas, and no model that workers load.

    ALWAYS: its image brings a program, or its code lies elsewhere. MAYBE: unless it holds a model that
    workers load; its image knows what to do with any other. ASKED: where it brings a script.
    """

    ALWAYS = "always"
    MAYBE = "maybe"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Code:
    """Custom code that a Model serves: in replicas, never in a worker.

    Args:
        archive: SHA-256 of the archive of its model; empty: it has none.
        source: SHA-256 of the archive of the code; empty: that lies in the model's.
    """

    archive: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What one container serves.

    Args:
        digest: SHA-256 of the manifest of a model that workers load; empty: it is code.
        code: That; None: it is none.
    """

    digest: str = ""
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class ModelNotes:
    """Ours.

    Args:
        digest: SHA-256 of the manifest of what it serves; empty until its archive was looked into, and where
            it serves code.
        model_version: `NAME:3` of the registry, or the Model's own name where it serves an archive.
        code: The custom code that it serves; None: none, or nobody has looked yet.
        further: What its further containers serve.
        models: S3 URL of the folder of the models that it stands for; None: it is one itself.
    """

    digest: str
    model_version: str
    code: Code | None = None
    further: tuple[Step, ...] = ()
    models: str | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """What each of its containers serves, in their order."""
        return (Step(self.digest, self.code), *self.further)

    @property
    def known(self) -> bool:
        """Whether it is known what it serves."""
        return bool(self.digest) or self.code is not None or self.models is not None


Model = Resource[ModelSpec, Nothing, ModelNotes]

"""Models: deployable pointers to approved versions, made within the transaction of a wish."""

from __future__ import annotations

from collections.abc import Sequence

from modelport.domain.errors import Conflict, Refused
from modelport.domain.names import NAME_LENGTH_MAX
from modelport.domain.registry import (
    ApprovalStatus,
    ContainerDefinition,
    Model,
    ModelNotes,
    ModelPackage,
    ModelSpec,
)
from modelport.domain.resource import Kind, Nothing, Resource, Tag
from modelport.stores.records.transaction import Transaction


def fresh_model(tx: Transaction, name: str, package: ModelPackage, tags: Sequence[Tag] = ()) -> Model:
    """Make a Model that points at a version.

    Raises:
        Refused: The version is not approved.
        Conflict: The name is taken.
    """
    check_approved(package)
    model: Model = Resource(
        kind=Kind.MODEL,
        name=name,
        parent=None,
        spec=ModelSpec(name, ContainerDefinition(package.name), tags=tuple(tags)),
        status=Nothing(),
        modelport=ModelNotes(digest=package.modelport.digest, model_version=package.name),
        generation=1,
        observed_generation=1,
        created_at=tx.now,
        modified_at=tx.now,
    )
    tx.create(model)
    tx.event("create", Kind.MODEL, name, package.name)
    return model


def find_or_create_model(tx: Transaction, package: ModelPackage) -> Model:
    """Return the Model a deploy uses for a version, `GROUP-VERSION`, making it when there is none.

    Raises:
        Refused: The version is not approved.
        Conflict: A Model of that name points elsewhere.
    """
    check_approved(package)
    suffix = f"-{package.status.model_package_version}"
    name = f"{str(package.parent)[: NAME_LENGTH_MAX - len(suffix)].rstrip('-')}{suffix}"
    model: Model | None = tx.find(Kind.MODEL, name)
    if model is None:
        return fresh_model(tx, name, package)
    if model.modelport.model_version != package.name or model.modelport.digest != package.modelport.digest:
        raise Conflict(
            f"model {name!r} points at {model.modelport.model_version}, not at {package.name}",
            hint=f"delete model {name!r}, or make a Model, a config and an endpoint by name",
        )
    return model


def check_approved(package: ModelPackage) -> None:
    """Refuse a version that may not be used.

    Raises:
        Refused: It is not approved.
    """
    status = package.status.model_approval_status
    if status is not ApprovalStatus.APPROVED:
        raise Refused(
            f"{package.name} is {status.value}, expected Approved", hint=f"modelport approve {package.name}"
        )

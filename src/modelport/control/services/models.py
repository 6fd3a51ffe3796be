"""Models: deployable pointers to approved versions, made within the transaction of a wish."""

from __future__ import annotations

from dataclasses import replace

from modelport.control.services.references import resolve
from modelport.control.services.resources import make
from modelport.domain.errors import Conflict, InvalidInput, Refused
from modelport.domain.names import NAME_LENGTH_MAX, parse_version
from modelport.domain.registry import (
    MULTI_MODEL,
    ApprovalStatus,
    ContainerDefinition,
    Model,
    ModelNotes,
    ModelPackage,
    ModelSpec,
)
from modelport.domain.resource import Kind
from modelport.stores.records.transaction import Transaction


def make_model(tx: Transaction, spec: ModelSpec) -> Model:
    """Make a Model of what its container names.

    Raises:
        InvalidInput: Its container names neither a version nor an archive.
        NotFound: There is no such version.
        Refused: The version is not approved.
        Conflict: The name is taken.
    """
    container = spec.primary_container
    if MULTI_MODEL in {one.mode for one in spec.containers}:
        _check_multi_model(spec)
    if spec.further_containers:
        for number, one in enumerate(spec.containers, start=1):
            if one.model_package_name is not None:
                raise InvalidInput(
                    f"container {number} of model {spec.model_name!r} names a model package, "
                    "expected the URL of an archive: it is one of several"
                )
            check_serves(one, f"model {spec.model_name!r}")
    if container.model_package_name is not None:
        package = resolve(tx, parse_version(container.model_package_name))
        return model_of_package(tx, spec, package)
    check_serves(container, f"model {spec.model_name!r}")
    told = container.model_data_url or str(container.image)
    return _put_model(tx, spec, ModelNotes(digest="", model_version=spec.model_name), told)


def _check_multi_model(spec: ModelSpec) -> None:
    if spec.further_containers:
        raise InvalidInput(
            f"a container of model {spec.model_name!r} has Mode {MULTI_MODEL}, and is one of several",
            hint="make a Model of it alone",
        )
    url = spec.primary_container.model_data_url or ""
    if not url.startswith("s3://"):
        raise InvalidInput(
            f"the container of model {spec.model_name!r} has Mode {MULTI_MODEL} and ModelDataUrl "
            f"{url[:200]!r}, expected s3://BUCKET/PREFIX/ where the archives of its models lie"
        )


def check_serves(container: ContainerDefinition, owner: str) -> None:
    """Refuse a container that brings nothing.

    Args:
        container: That.
        owner: Whose it is, for the message.

    Raises:
        InvalidInput: It names neither an archive nor an image.
    """
    if container.model_data_url is None and container.image is None:
        raise InvalidInput(
            f"the container of {owner} names nothing to serve",
            hint="give it a model package, the URL of an archive with the model, or an image that serves",
        )


def model_of_package(tx: Transaction, spec: ModelSpec, package: ModelPackage) -> Model:
    """Make a Model that points at a version; its container is that version's.

    Raises:
        Refused: The version is not approved.
        Conflict: The name is taken.
    """
    check_approved(package)
    container = package.spec.container or ContainerDefinition()
    environment = container.environment | spec.primary_container.environment
    spec = replace(
        spec,
        primary_container=replace(container, model_package_name=package.name, environment=environment),
    )
    notes = ModelNotes(digest=package.modelport.digest, model_version=package.name)
    return _put_model(tx, spec, notes, package.name)


def _put_model(tx: Transaction, spec: ModelSpec, notes: ModelNotes, told: str) -> Model:
    return make(tx, Kind.MODEL, spec.model_name, spec, notes=notes, told=told)


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
        return model_of_package(tx, ModelSpec(name, ContainerDefinition(package.name)), package)
    digests = {model.modelport.digest, package.modelport.digest} - {""}  # a package of an archive has none
    if model.modelport.model_version != package.name or len(digests) > 1:
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

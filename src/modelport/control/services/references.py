"""What points at what: versions by reference, and who uses them."""

from __future__ import annotations

from collections.abc import Sequence

from modelport.domain.endpoint import Endpoint, EndpointConfig
from modelport.domain.errors import Conflict, NotFound
from modelport.domain.inference_component import InferenceComponent
from modelport.domain.job import TransformJob
from modelport.domain.names import VersionReference
from modelport.domain.registry import ModelPackage, ModelPackageGroup
from modelport.domain.resource import Kind
from modelport.stores.records.transaction import Transaction

DELETE_COMPONENT = "aws sagemaker delete-inference-component --inference-component-name"


def resolve(tx: Transaction, reference: VersionReference) -> ModelPackage:
    """Return the version a reference points at, within a transaction.

    Raises:
        NotFound: There is no such group, version or alias; says which versions there are.
    """
    owner: ModelPackageGroup = tx.get(Kind.MODEL_PACKAGE_GROUP, reference.group)
    if reference.version is not None:
        version = reference.version
    elif reference.alias is not None:
        if reference.alias not in owner.modelport.aliases:
            raise NotFound(f"{owner.name} has no alias {reference.alias!r}", hint=tell_aliases(owner))
        version = owner.modelport.aliases[reference.alias]
    else:
        versions = [
            item.status.model_package_version for item in tx.all(Kind.MODEL_PACKAGE, parent=owner.name)
        ]
        if not versions:
            raise NotFound(
                f"group {owner.name!r} has no versions",
                hint=f"register one: modelport register PATH --name {owner.name}",
            )
        version = max(versions)
    return tx.get(Kind.MODEL_PACKAGE, f"{owner.name}:{version}")


def endpoints_using(tx: Transaction, models: Sequence[str]) -> list[str]:
    """Return the names of endpoints whose wished or serving config has one of these Models."""
    wanted = set(models)
    users = []
    for endpoint in tx.all(Kind.ENDPOINT):
        for name in config_names(endpoint):
            config: EndpointConfig | None = tx.find(Kind.ENDPOINT_CONFIG, name)
            if config is None:
                continue
            variants = config.spec.production_variants + config.spec.shadow_production_variants
            if wanted & {variant.model_name for variant in variants}:
                users.append(endpoint.name)
                break
    return users


def check_no_component_uses(tx: Transaction, models: Sequence[str]) -> None:
    """Refuse to take away Models that an inference component serves.

    Raises:
        Conflict: A component serves one of them.
    """
    for component in tx.all(Kind.INFERENCE_COMPONENT):
        if component.spec.model_name in models:
            raise Conflict(
                f"model {component.spec.model_name!r} is used by inference component {component.name!r}",
                hint=f"delete that first: {DELETE_COMPONENT} {component.name}",
            )


def components_on(tx: Transaction, endpoint: str) -> list[InferenceComponent]:
    """Return the inference components of an endpoint, by name, also those that are going."""
    return [one for one in tx.all(Kind.INFERENCE_COMPONENT) if one.spec.endpoint_name == endpoint]


def check_no_job_uses(tx: Transaction, models: Sequence[str]) -> None:
    """Refuse to take away Models that a batch job needs when it has to start again.

    Raises:
        Conflict: A job that has not ended uses one of them.
    """
    for name in tx.unsettled(Kind.TRANSFORM_JOB):
        job: TransformJob = tx.get(Kind.TRANSFORM_JOB, name)
        if job.spec.model_name in models:
            raise Conflict(
                f"model {job.spec.model_name!r} is used by job {name!r}",
                hint=f"wait until it has ended, or: modelport stop {name}",
            )


def config_names(endpoint: Endpoint) -> set[str]:
    """Return the configs an endpoint serves or wishes for."""
    return {endpoint.spec.endpoint_config_name} | (
        {endpoint.status.endpoint_config_name} if endpoint.status.endpoint_config_name else set()
    )


def tell_aliases(owner: ModelPackageGroup) -> str:
    """Return a hint that names the aliases there are."""
    known = ", ".join(sorted(owner.modelport.aliases))
    return f"it has: {known}" if known else f"set one: modelport alias {owner.name}:VERSION ALIAS"

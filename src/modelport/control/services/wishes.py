"""Writing wishes about endpoints: what each kind of wish checks and changes, within its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from modelport.control.services.models import check_approved
from modelport.control.services.references import DELETE_COMPONENT, components_on
from modelport.control.services.resources import make
from modelport.domain.deployment import read_shift
from modelport.domain.endpoint import (
    Endpoint,
    EndpointConfig,
    EndpointConfigSpec,
    EndpointNotes,
    EndpointSpec,
    EndpointState,
    EndpointStatus,
    VariantSummary,
)
from modelport.domain.errors import Conflict, NotFound
from modelport.domain.names import NAME_LENGTH_MAX
from modelport.domain.planning.traffic import check_many, weights_of
from modelport.domain.registry import MULTI_MODEL, Model, ModelPackage
from modelport.domain.resource import Kind, Tag
from modelport.stores.records.transaction import Transaction

MADE_BY = Tag("modelport:made-by", "deploy")
"""Marks a config that a deploy, promote or rollback made; once nothing points at it, retention removes it."""

COMPONENTS_TOLD = 5
"""Names of components that one message has."""


def get_changeable(tx: Transaction, name: str) -> Endpoint:
    """Return an endpoint that may get a new wish.

    Raises:
        NotFound: There is none of that name.
        Conflict: An earlier wish is under way, or it is being deleted.
    """
    endpoint: Endpoint = tx.get(Kind.ENDPOINT, name)
    check_not_deleting(endpoint)
    if not endpoint.settled:
        raise Conflict(
            f"endpoint {name!r} is {endpoint.status.endpoint_status.value}: an earlier change is under way",
            hint=f"wait for it, or go back: modelport rollback {name}",
        )
    return endpoint


def check_not_deleting(endpoint: Endpoint) -> None:
    """Refuse a wish for an endpoint that is going.

    Raises:
        Conflict: It is being deleted.
    """
    if endpoint.modelport.deleting:
        raise Conflict(
            f"endpoint {endpoint.name!r} is being deleted", hint="wait until it is gone, then create it anew"
        )


def find_serving(tx: Transaction, endpoint: Endpoint) -> EndpointConfigSpec | None:
    """Return the config that serves now, None when nothing does."""
    if endpoint.status.endpoint_status is EndpointStatus.FAILED:
        return None
    name = endpoint.status.endpoint_config_name
    config: EndpointConfig | None = None if name is None else tx.find(Kind.ENDPOINT_CONFIG, name)
    return None if config is None else config.spec


def find_asked(tx: Transaction, endpoint: Endpoint) -> EndpointConfigSpec | None:
    """Return the config that is wished for, without its shadows: how it is asked, whatever failed."""
    config: EndpointConfig | None = tx.find(Kind.ENDPOINT_CONFIG, endpoint.spec.endpoint_config_name)
    return None if config is None else replace(config.spec, shadow_production_variants=())


def get_serving(tx: Transaction, endpoint: Endpoint) -> EndpointConfigSpec:
    """Return the config that serves now.

    Raises:
        Conflict: Nothing does.
    """
    config = find_serving(tx, endpoint)
    if config is None:
        raise Conflict(
            f"endpoint {endpoint.name!r} serves nothing",
            hint=f"deploy a version to it: modelport deploy NAME:VERSION --endpoint {endpoint.name}",
        )
    return config


def change_endpoint(
    tx: Transaction,
    endpoint: Endpoint,
    config: str,
    weights: Mapping[str, float],
    told: str,
    status: EndpointStatus = EndpointStatus.UPDATING,
    *,
    instance_counts: Mapping[str, int] | None = None,
    deployment_config: Mapping[str, Any] = MappingProxyType({}),
) -> Endpoint:
    """Write a new wish for an existing endpoint, with its event.

    Args:
        tx: Of the wish.
        endpoint: As it is.
        config: The config wished for.
        weights: Weights on top of the config's own.
        told: What the event says.
        status: Where it stands until the wish has come true.
        instance_counts: Numbers of instances on top of the config's own.
        deployment_config: How traffic moves to it.

    Returns:
        The endpoint, of the next generation.
    """
    counts = dict(instance_counts or {})
    wished = replace(
        endpoint,
        spec=replace(endpoint.spec, endpoint_config_name=config, deployment_config=dict(deployment_config)),
        status=replace(
            endpoint.status,
            endpoint_status=status,
            failure_reason=None,
            production_variants=tuple(
                replace(
                    item,
                    desired_weight=weights.get(item.variant_name, item.desired_weight),
                    desired_instance_count=counts.get(item.variant_name, item.desired_instance_count),
                )
                for item in endpoint.status.production_variants
            ),
        ),
        modelport=replace(endpoint.modelport, weights=dict(weights), instance_counts=counts),
        generation=endpoint.generation + 1,
        modified_at=tx.now,
    )
    tx.put(wished)
    tx.event("update", Kind.ENDPOINT, endpoint.name, told)
    return wished


def create_endpoint(
    tx: Transaction, spec: EndpointSpec, config: EndpointConfigSpec, told: str | None = None
) -> Endpoint:
    """Write the first wish for an endpoint, with its event.

    Args:
        tx: Of the wish.
        spec: The wish.
        config: The config it names.
        told: What the event says; None: the config's name.

    Raises:
        Conflict: The name is taken.
    """
    weights = weights_of(config, {})
    status = EndpointState(
        endpoint_status=EndpointStatus.CREATING,
        production_variants=tuple(VariantSummary(name, 0.0, weight) for name, weight in weights.items()),
    )
    return make(
        tx,
        Kind.ENDPOINT,
        spec.endpoint_name,
        spec,
        status=status,
        notes=EndpointNotes(),
        settled=False,
        told=told or f"config {spec.endpoint_config_name}",
    )


def create_config(tx: Transaction, spec: EndpointConfigSpec) -> EndpointConfig:
    """Write a config, with its event.

    Raises:
        InvalidInput: A Model of it is many, and the config asks for what such a Model cannot be.
        Conflict: The name is taken.
    """
    for variant in spec.production_variants + spec.shadow_production_variants:
        model: Model | None = tx.find(Kind.MODEL, variant.model_name) if variant.model_name else None
        if model is not None and model.spec.primary_container.mode == MULTI_MODEL:
            check_many(spec, variant)
    return make(tx, Kind.ENDPOINT_CONFIG, spec.endpoint_config_name, spec)


def choose_config_name(tx: Transaction, endpoint: str, current: Endpoint | None) -> str:
    """Return a name for the config of a new wish: the endpoint's, and the wish's number."""
    number = 1 if current is None else current.generation + 1
    while True:
        suffix = f"-config-{number}"
        name = endpoint[: NAME_LENGTH_MAX - len(suffix)].rstrip("-") + suffix
        if tx.find(Kind.ENDPOINT_CONFIG, name) is None:
            return name
        number += 1


def check_deployment(tx: Transaction, deployment: Mapping[str, Any], config: EndpointConfigSpec) -> None:
    """Refuse a deployment config that nobody could follow.

    Raises:
        InvalidInput: It contradicts itself.
        NotFound: It names an alarm that is not there.
    """
    instances = sum(item.initial_instance_count for item in config.production_variants)
    for name in read_shift(deployment, instances).alarms:
        tx.get(Kind.ALARM, name)


def check_kept(tx: Transaction, endpoint: Endpoint) -> None:
    """Refuse to move traffic step by step away from what it could not go back to.

    Raises:
        Conflict: The config that serves, or a Model of it, was deleted.
    """
    serving = endpoint.status.endpoint_config_name
    if endpoint.status.endpoint_status is EndpointStatus.FAILED or serving is None:
        return
    config: EndpointConfig | None = tx.find(Kind.ENDPOINT_CONFIG, serving)
    variants = config.spec.production_variants + config.spec.shadow_production_variants if config else ()
    named = [item.model_name for item in variants if item.model_name]
    gone = [name for name in named if tx.find(Kind.MODEL, name) is None]
    if config is None or gone:
        lost = f"model {gone[0]!r}" if gone else f"config {serving!r}"
        raise Conflict(
            f"traffic of endpoint {endpoint.name!r} could not go back: {lost}, which serves, was deleted",
            hint="update it without a deployment config, all at once",
        )


def check_approval(tx: Transaction, config: EndpointConfigSpec, serving: EndpointConfigSpec | None) -> None:
    """Refuse a config that would newly serve a version that is not approved.

    Args:
        tx: Of the wish.
        config: What is wished for.
        serving: What serves now, whose versions are not asked about again; None: nothing does.

    Raises:
        NotFound: A Model, or the version it points at, is gone.
        Refused: A version is not approved.
    """
    known = set()
    if serving is not None:
        known = {item.model_name for item in serving.production_variants + serving.shadow_production_variants}
    for variant in config.production_variants + config.shadow_production_variants:
        if not variant.model_name:  # it holds inference components, which are asked about one by one
            continue
        model: Model = tx.get(Kind.MODEL, variant.model_name)
        if variant.model_name not in known:
            check_model_approved(tx, model)


def check_model_approved(tx: Transaction, model: Model) -> None:
    """Refuse a Model of a version that is not approved; one of an archive needs no approval.

    Raises:
        NotFound: The version it points at is gone.
        Refused: It is not approved.
    """
    if model.spec.primary_container.model_package_name is None:
        return
    package: ModelPackage | None = tx.find(Kind.MODEL_PACKAGE, model.modelport.model_version)
    if package is None:
        raise NotFound(
            f"model {model.name!r} points at {model.modelport.model_version}, which was deleted",
            hint="register it again, and make a new model of it",
        )
    check_approved(package)


def check_components_stay(tx: Transaction, endpoint: Endpoint, config: EndpointConfigSpec) -> None:
    """Refuse a config without the variants that hold an endpoint's inference components.

    Raises:
        Conflict: A component would have no place any more.
    """
    places = {item.variant_name for item in config.production_variants if not item.model_name}
    for component in components_on(tx, endpoint.name):
        variant = component.spec.variant_name
        if variant not in places:
            raise Conflict(
                f"variant {variant!r} of endpoint {endpoint.name!r} holds inference component "
                f"{component.name!r}, and config {config.endpoint_config_name!r} has no variant of that "
                "name without a model",
                hint=f"delete the component first: {DELETE_COMPONENT} {component.name}",
            )


def check_no_components(tx: Transaction, endpoint: Endpoint) -> None:
    """Refuse to take an endpoint away from under its inference components.

    Raises:
        Conflict: It has some.
    """
    found = components_on(tx, endpoint.name)
    if not found:
        return
    names = ", ".join(component.name for component in found[:COMPONENTS_TOLD])
    more = ", …" if len(found) > COMPONENTS_TOLD else ""
    staying = [component for component in found if not component.modelport.deleting]
    raise Conflict(
        f"endpoint {endpoint.name!r} has inference components: {names}{more}",
        hint=f"delete them first: {DELETE_COMPONENT} {staying[0].name}"
        if staying
        else "they are being deleted: wait until they are gone",
    )


def check_takes_versions(tx: Transaction, endpoint: Endpoint) -> None:
    """Refuse to deploy a version to an endpoint whose variants hold inference components.

    Raises:
        Conflict: They do.
    """
    config: EndpointConfig | None = tx.find(Kind.ENDPOINT_CONFIG, endpoint.spec.endpoint_config_name)
    if (config is not None and config.spec.holds_components) or components_on(tx, endpoint.name):
        raise Conflict(
            f"endpoint {endpoint.name!r} serves inference components, not versions in variants of their own",
            hint="create a component of a model of the version (aws sagemaker create-inference-component), "
            "or deploy under another endpoint name",
        )

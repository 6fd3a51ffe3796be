"""Inference components: wishes for models that share the instances of a variant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from modelport.control.services.models import check_serves
from modelport.control.services.page import Page, page_of
from modelport.control.services.resources import look_until_settled, make
from modelport.control.services.wishes import check_model_approved, check_not_deleting
from modelport.domain.endpoint import Endpoint, EndpointConfig
from modelport.domain.errors import Conflict, InvalidInput, NotFound
from modelport.domain.inference_component import (
    ComponentChange,
    ComponentNotes,
    ComponentSpec,
    ComponentState,
    ComponentStatus,
    InferenceComponent,
    change_spec,
)
from modelport.domain.names import check_name
from modelport.domain.registry import MULTI_MODEL, Model
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction

CHANGEABLE = (ComponentStatus.IN_SERVICE, ComponentStatus.FAILED)
"""Where a component stands that may be updated. Source: SageMaker, UpdateInferenceComponent."""


class InferenceComponents:
    """What serves within variants.

    Args:
        records: Where wishes are kept.
        wake: Called after each new wish.
    """

    def __init__(self, records: Records, wake: Callable[[], None]) -> None:
        self._records = records
        self._wake = wake

    def create(self, spec: ComponentSpec, *, principal: str) -> InferenceComponent:
        """Wish for a new component.

        Args:
            spec: The wish. Without a variant's name it goes to the only one that its endpoint has.
            principal: Who asks.

        Raises:
            InvalidInput: The name is not allowed, there is not one of Model and container, the copies are
                fewer than none, or what is named cannot hold or be a component.
            NotFound: There is no such endpoint, variant or Model, or the version of the Model is gone.
            Refused: That version is not approved.
            Conflict: The name is taken, the endpoint is being deleted, or its config was deleted.
        """
        check_name(spec.inference_component_name, what="inference component")
        with self._records.transaction(principal=principal) as tx:
            endpoint: Endpoint = tx.get(Kind.ENDPOINT, spec.endpoint_name)
            check_not_deleting(endpoint)
            spec = replace(spec, variant_name=_find_variant(tx, endpoint, spec.variant_name))
            _check_copies(spec)
            _check_served(tx, spec)
            component: InferenceComponent = make(
                tx,
                Kind.INFERENCE_COMPONENT,
                spec.inference_component_name,
                spec,
                status=ComponentState(ComponentStatus.CREATING),
                notes=ComponentNotes(),
                settled=False,
                told=_tell(spec),
            )
        self._wake()
        return component

    def describe(self, name: str, *, wait_s: float = 0.0) -> InferenceComponent:
        """Return a component.

        Args:
            name: Of the component.
            wait_s: Seconds to wait, at most, until its newest wish is settled.

        Raises:
            NotFound: There is none of that name.
        """
        return look_until_settled(self._records, Kind.INFERENCE_COMPONENT, name, wait_s)

    def list(self, *, after: str | None = None, limit: int | None = None) -> Page[InferenceComponent]:
        """Return all components, by name."""
        return page_of(self._records, Kind.INFERENCE_COMPONENT, after, limit)

    def update(self, name: str, change: ComponentChange, *, principal: str) -> InferenceComponent:
        """Wish that a component serve something else, or with other copies.

        Args:
            name: Of the component.
            change: What is to be otherwise.
            principal: Who asks.

        Raises:
            InvalidInput: Nothing is to change, or the component could not be what it is to be.
            NotFound: There is no such component, or no such Model.
            Refused: The version of the Model is not approved.
            Conflict: An earlier wish is under way.
        """
        if change == ComponentChange():
            raise InvalidInput(
                f"nothing is to change about inference component {name!r}",
                hint="give a specification, a number of copies, or both",
            )
        with self._records.transaction(principal=principal) as tx:
            component: InferenceComponent = tx.get(Kind.INFERENCE_COMPONENT, name)
            _check_changeable(component)
            spec = change_spec(component.spec, change)
            _check_copies(spec)
            notes = component.modelport
            if change.replaces:
                _check_served(tx, spec)
                notes = replace(notes, step=None)  # the same URL may hold another archive by now
            status = replace(
                component.status, inference_component_status=ComponentStatus.UPDATING, failure_reason=None
            )
            component = replace(
                component,
                spec=spec,
                status=status,
                modelport=notes,
                generation=component.generation + 1,
                modified_at=tx.now,
            )
            tx.put(component)
            tx.event("update", Kind.INFERENCE_COMPONENT, name, _tell(spec))
        self._wake()
        return component

    def delete(self, name: str, *, principal: str) -> InferenceComponent:
        """Wish that a component be gone. Nothing happens when it is Deleting.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.transaction(principal=principal) as tx:
            component: InferenceComponent = tx.get(Kind.INFERENCE_COMPONENT, name)
            if not component.modelport.deleting:
                component = replace(
                    component,
                    status=replace(component.status, inference_component_status=ComponentStatus.DELETING),
                    modelport=replace(component.modelport, deleting=True),
                    generation=component.generation + 1,
                    modified_at=tx.now,
                )
                tx.put(component)
                tx.event("delete", Kind.INFERENCE_COMPONENT, name)
        self._wake()
        return component


def _find_variant(tx: Transaction, endpoint: Endpoint, name: str) -> str:
    """Return the name of the variant that is to hold a component.

    Args:
        tx: Of the wish.
        endpoint: Whose variant.
        name: As the caller wrote it; empty: the only one.
    """
    config: EndpointConfig | None = tx.find(Kind.ENDPOINT_CONFIG, endpoint.spec.endpoint_config_name)
    if config is None:
        raise Conflict(
            f"config {endpoint.spec.endpoint_config_name!r} of endpoint {endpoint.name!r} was deleted: "
            "nobody knows whether its variants hold inference components",
            hint="update the endpoint to a config that is there",
        )
    variants = {item.variant_name: item for item in config.spec.production_variants}
    known = ", ".join(variants)
    if not name and len(variants) > 1:
        raise InvalidInput(
            f"endpoint {endpoint.name!r} has {len(variants)} variants, and none is named",
            hint=f"name one of: {known}",
        )
    found = variants.get(name) if name else next(iter(variants.values()))
    if found is None:
        raise NotFound(f"endpoint {endpoint.name!r} has no variant {name[:80]!r}", hint=f"it has: {known}")
    if found.model_name:
        raise InvalidInput(
            f"variant {found.variant_name!r} of endpoint {endpoint.name!r} serves model "
            f"{found.model_name!r}, so it holds no inference components",
            hint="make an endpoint config whose variants name no model, and an endpoint of it",
        )
    return found.variant_name


def _check_copies(spec: ComponentSpec) -> None:
    if spec.copy_count < 0:
        raise InvalidInput(
            f"inference component {spec.inference_component_name!r} is to have {spec.copy_count} copies, "
            "expected at least 0"
        )


def _check_served(tx: Transaction, spec: ComponentSpec) -> None:
    """Refuse what a component could not serve."""
    name = spec.inference_component_name
    if (spec.model_name is None) == (spec.container is None):
        given = "neither a model nor" if spec.container is None else "both a model and"
        raise InvalidInput(f"inference component {name!r} has {given} a container", hint="give one of them")
    if spec.container is not None:
        check_serves(spec.container, f"inference component {name!r}")
        return
    model: Model = tx.get(Kind.MODEL, str(spec.model_name))
    if model.spec.further_containers:
        raise InvalidInput(
            f"model {model.name!r} has {len(model.spec.containers)} containers, "
            "expected one: it is to be an inference component",
            hint="give it to a variant of its own",
        )
    if model.spec.primary_container.mode == MULTI_MODEL:
        raise InvalidInput(
            f"the container of model {model.name!r} has Mode {MULTI_MODEL}, "
            "expected SingleModel: it is to be an inference component",
            hint="make a component of each of its models, or give it to a variant of its own",
        )
    check_model_approved(tx, model)


def _check_changeable(component: InferenceComponent) -> None:
    status = component.status.inference_component_status
    if status not in CHANGEABLE:
        raise Conflict(
            f"inference component {component.name!r} is {status.value}: an earlier change is under way",
            hint="wait for it",
        )


def _tell(spec: ComponentSpec) -> str:
    """Return a component's wish for people."""
    container = spec.container
    served = spec.model_name if container is None else container.model_data_url or container.image
    return f"{served} on {spec.endpoint_name}/{spec.variant_name}, copies: {spec.copy_count}"

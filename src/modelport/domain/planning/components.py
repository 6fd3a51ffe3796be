"""What becomes of the wish for an inference component, by how it stands with the model that it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelport.domain.inference_component import ComponentState, ComponentStatus, InferenceComponent
from modelport.domain.planning.hosting import Guest, HostedKey, Outlook, unrecorded
from modelport.domain.planning.routes import COMPONENTS, Place
from modelport.domain.registry import ContainerDefinition, Model, ModelNotes, Step
from modelport.domain.routes import HostedRoute

NAME_DIGITS = 16


def key_of(component: InferenceComponent) -> HostedKey:
    """Return where a component is hosted, and under which name."""
    spec = component.spec
    return HostedKey((spec.endpoint_name, spec.variant_name, COMPONENTS), component.name)


def by_place(components: Iterable[InferenceComponent]) -> dict[Place, list[InferenceComponent]]:
    """Return the components of each place that are to be there."""
    found: dict[Place, list[InferenceComponent]] = {}
    for component in components:
        if not component.modelport.deleting:
            found.setdefault(key_of(component).place, []).append(component)
    return found


def guest_of(component: InferenceComponent, model: Model | None) -> Guest | None:
    """Return the model that a component is; None where the Model that it serves is gone.

    Args:
        component: The component.
        model: The Model of the name that it wishes for; None: there is none.
    """
    spec = component.spec
    if spec.container is not None:
        model = _model_of(component, spec.container)
    if model is None:
        return None
    timeout_s = None if spec.startup_timeout_s is None else float(spec.startup_timeout_s)
    return Guest(key_of(component), model, spec.copy_count, timeout_s)


def settle(
    component: InferenceComponent,
    outlook: Outlook,
    served: HostedRoute | None,
    *,
    everywhere: bool,
    now: datetime,
) -> InferenceComponent | None:
    """Return a component whose wish has come true, or will not; None: wait, or nothing is new.

    Args:
        component: Its wish is not that it be gone.
        outlook: How it stands with the model that it is.
        served: Where its requests go now; None: nowhere.
        everywhere: Every worker serves by the table that says so.
        now: The time, aware, UTC.
    """
    if outlook.problem is not None:
        if component.settled and served is not None:
            return None  # what was ready serves on; a replica that ended comes back
        copies = component.status.current_copy_count if served is not None else 0
        state = ComponentState(ComponentStatus.FAILED, copies, outlook.problem)
    elif not component.settled and outlook.route is not None and outlook.route == served and everywhere:
        state = ComponentState(ComponentStatus.IN_SERVICE, component.spec.copy_count)
    else:
        return None
    if component.settled and component.status.inference_component_status is state.inference_component_status:
        return None
    return replace(component, status=state, observed_generation=component.generation, modified_at=now)


def _model_of(component: InferenceComponent, container: ContainerDefinition) -> Model:
    """Return the Model that a container of its own is, though there is no record of it."""
    step = component.modelport.step or Step()
    digest = hashlib.sha256(repr(container).encode("utf-8")).hexdigest()[:NAME_DIGITS]
    notes = ModelNotes(step.digest, component.name, step.code)
    return unrecorded(f"{component.name}/{digest}", container, notes, component.created_at)

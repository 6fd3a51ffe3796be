"""Inference components: models that share the instances of a variant, each with copies of its own.

Source: SageMaker, CreateInferenceComponent; "Inference components".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from modelport.domain.registry import ContainerDefinition, Step
from modelport.domain.resource import Resource, Tag

STARTUP = "StartupParameters"


class ComponentStatus(StrEnum):
    """Where a component stands. Source: SageMaker, DescribeInferenceComponent."""

    CREATING = "Creating"
    UPDATING = "Updating"
    IN_SERVICE = "InService"
    FAILED = "Failed"
    DELETING = "Deleting"


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """The wish for a component.

    Args:
        inference_component_name: Its name, unique here.
        endpoint_name: Where it serves.
        variant_name: The variant there whose instances it shares.
        model_name: The Model that it serves; None: `container` tells.
        container: The container that it serves.
        copy_count: Copies, at least 0: replicas of code; accounting for models that every worker holds.
        startup_timeout_s: Seconds a copy may take to be ready; None: as the settings say.
        tags: AWS tags.
        request: As an AWS client wrote it, also by later updates; see `domain.resource`.
    """

    inference_component_name: str
    endpoint_name: str
    variant_name: str
    model_name: str | None = None
    container: ContainerDefinition | None = None
    copy_count: int = 1
    startup_timeout_s: int | None = None
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComponentState:
    """What is so of a component.

    Args:
        inference_component_status: Where it stands.
        current_copy_count: Copies that serve.
        failure_reason: Why it is Failed; None otherwise.
    """

    inference_component_status: ComponentStatus
    current_copy_count: int = 0
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ComponentNotes:
    """Ours.

    Args:
        step: What its container holds, once somebody looked; None: nobody has, or it serves a Model.
        source: Which Model it serves, by name and time; empty: none, or nobody has looked. Another one that
            is made under its name is another Model.
        deleting: A delete was asked for.
    """

    step: Step | None = None
    source: str = ""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class ComponentChange:
    """What an update asks for; None, or an empty specification: that stays as it is.

    Args:
        model_name: The Model that it is to serve, in the place of the Model or container before.
        container: The container that it is to serve, likewise.
        startup_timeout_s: Seconds a copy may take to be ready.
        copy_count: Copies.
        specification: As an AWS client wrote it; its members replace those before.
    """

    model_name: str | None = None
    container: ContainerDefinition | None = None
    startup_timeout_s: int | None = None
    copy_count: int | None = None
    specification: dict[str, Any] = field(default_factory=dict)

    @property
    def replaces(self) -> bool:
        """Whether it names what is to be served, be it by the name or the URL of before."""
        return self.model_name is not None or self.container is not None


def change_spec(spec: ComponentSpec, change: ComponentChange) -> ComponentSpec:
    """Return the wish for a component after an update."""
    kept = {
        member: value
        for member, value in spec.request.get("Specification", {}).items()
        if not (change.replaces and member in ("ModelName", "Container"))
    }
    specification = kept | change.specification
    if STARTUP in kept and STARTUP in specification:
        specification[STARTUP] = kept[STARTUP] | specification[STARTUP]
    return replace(
        spec,
        model_name=change.model_name if change.replaces else spec.model_name,
        container=change.container if change.replaces else spec.container,
        startup_timeout_s=change.startup_timeout_s or spec.startup_timeout_s,
        copy_count=spec.copy_count if change.copy_count is None else change.copy_count,
        request={**spec.request, "Specification": specification},
    )


InferenceComponent = Resource[ComponentSpec, ComponentState, ComponentNotes]

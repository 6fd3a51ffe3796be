"""A resource: a wish (`spec`), what has become of it (`status`), and our own notes (`modelport`).

A `spec` has typed fields for what planners look at. One that an AWS client made also keeps, as `request`, the
whole request in AWS's spelling: describing it repeats every member, also those that mean nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar


class Kind(StrEnum):
    """The kinds of resources, in SageMaker's words."""

    MODEL_PACKAGE_GROUP = "ModelPackageGroup"
    MODEL_PACKAGE = "ModelPackage"
    MODEL = "Model"
    ENDPOINT_CONFIG = "EndpointConfig"
    ENDPOINT = "Endpoint"
    TRANSFORM_JOB = "TransformJob"
    PROCESSING_JOB = "ProcessingJob"
    ALARM = "Alarm"
    SCALABLE_TARGET = "ScalableTarget"
    INFERENCE_COMPONENT = "InferenceComponent"
    EXPERIMENT = "Experiment"
    TRIAL = "Trial"
    TRIAL_COMPONENT = "TrialComponent"
    MODEL_CARD = "ModelCard"
    MODEL_CARD_VERSION = "ModelCardVersion"


Spec = TypeVar("Spec")
Status = TypeVar("Status")
Notes = TypeVar("Notes")


@dataclass(frozen=True, slots=True)
class Resource(Generic[Spec, Status, Notes]):
    """One resource as planners see it.

    Args:
        kind: What it is.
        name: Unique within its kind; `group:version` of a ModelPackage, `card:version` of a
            ModelCardVersion.
        parent: Name of the group of a ModelPackage, of the experiment of a Trial, of the card of a
            ModelCardVersion; None for the others.
        spec: What was asked for, in the shape of SageMaker's request.
        status: What is so, in the shape of SageMaker's answer to describe.
        modelport: What SageMaker has no word for; never shown by the AWS door.
        generation: Grows with each change of the wish.
        observed_generation: The wish that `status` speaks of.
        created_at: Aware, UTC.
        modified_at: Aware, UTC.
    """

    kind: Kind
    name: str
    parent: str | None
    spec: Spec
    status: Status
    modelport: Notes
    generation: int
    observed_generation: int
    created_at: datetime
    modified_at: datetime

    @property
    def settled(self) -> bool:
        """Return whether the status speaks of the newest wish."""
        return self.observed_generation >= self.generation


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, as AWS writes it."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """The empty `spec`, `status` or `modelport` of a kind that needs none."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: append-only history.

    Args:
        sequence: Grows by one with each event; the order of events.
        at: When, aware, UTC.
        principal: Who asked, or `modelport` for what the platform did by itself.
        verb: What was done: `create`, `update`, `delete`, `status`, `approve`, …
        kind: Of which kind of resource.
        name: Which resource.
        message: Why, for people.
    """

    sequence: int
    at: datetime
    principal: str
    verb: str
    kind: Kind
    name: str
    message: str = ""

"""Experiments, their trials, and the trial components that trials are made of.

Nothing acts on them: they are what a training program wrote down. `request` is everything it said, also by
later updates, in SageMaker's spelling. Times are fields of their own, because a document has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Nothing, Resource, Tag

MEMBERS_MAX: Mapping[str, int] = {"Parameters": 300, "InputArtifacts": 30, "OutputArtifacts": 30}
"""The maps of a trial component, and how many members each may have. Source: CreateTrialComponent."""


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """What is written of an experiment."""

    experiment_name: str
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """What is written of a trial."""

    trial_name: str
    experiment_name: str
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialNotes:
    """Ours: the names of its trial components, in the order they were associated."""

    components: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialComponentSpec:
    """What is written of a trial component."""

    trial_component_name: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialComponentNotes:
    """Ours: the names of the trials it is associated with, in that order."""

    trials: tuple[str, ...] = ()


Experiment = Resource[ExperimentSpec, Nothing, Nothing]
Trial = Resource[TrialSpec, Nothing, TrialNotes]
TrialComponent = Resource[TrialComponentSpec, Nothing, TrialComponentNotes]


def merge_component(
    request: Mapping[str, Any], change: Mapping[str, Any], remove: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return what is written of a trial component after a change.

    Args:
        request: What is written of it.
        change: Members that take the place of those there; the members of its maps join those there.
        remove: Keys to take out of each map first; those that are not there are nobody's trouble.

    Raises:
        InvalidInput: A map would have too many members.
    """
    merged = {**request, **change}
    for name, most in MEMBERS_MAX.items():
        gone = set(remove.get(name, ()))
        kept = {key: value for key, value in request.get(name, {}).items() if key not in gone}
        merged[name] = {**kept, **change.get(name, {})}
        if len(merged[name]) > most:
            raise InvalidInput(
                f"{name} would have {len(merged[name])} members, expected at most {most}",
                hint=f"remove some by {name}ToRemove",
            )
    return merged

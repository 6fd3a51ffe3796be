"""Resources as documents: dataclass to SageMaker's spelling and back.

A kind is described once, by its dataclasses in `domain`. Field names become PascalCase; the keys of free
maps are never re-cased; what is None or an empty tuple or map is left out, as AWS does.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar

import msgspec

from modelport.domain import (
    alarm,
    endpoint,
    experiment,
    inference_component,
    job,
    model_card,
    registry,
    scaling,
)
from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Kind, Nothing

T = TypeVar("T")

VIEWS: dict[Kind, tuple[type, type, type]] = {
    Kind.MODEL_PACKAGE_GROUP: (registry.GroupSpec, registry.GroupStatus, registry.GroupNotes),
    Kind.MODEL_PACKAGE: (registry.PackageSpec, registry.PackageStatus, registry.PackageNotes),
    Kind.MODEL: (registry.ModelSpec, Nothing, registry.ModelNotes),
    Kind.ENDPOINT_CONFIG: (endpoint.EndpointConfigSpec, Nothing, Nothing),
    Kind.ENDPOINT: (endpoint.EndpointSpec, endpoint.EndpointState, endpoint.EndpointNotes),
    Kind.TRANSFORM_JOB: (job.TransformSpec, job.TransformState, job.JobNotes),
    Kind.ALARM: (alarm.AlarmSpec, alarm.AlarmStatus, Nothing),
    Kind.SCALABLE_TARGET: (scaling.ScalableTargetSpec, scaling.ScalingState, Nothing),
    Kind.INFERENCE_COMPONENT: (
        inference_component.ComponentSpec,
        inference_component.ComponentState,
        inference_component.ComponentNotes,
    ),
    Kind.PROCESSING_JOB: (job.ProcessingSpec, job.ProcessingState, job.JobNotes),
    Kind.EXPERIMENT: (experiment.ExperimentSpec, Nothing, Nothing),
    Kind.TRIAL: (experiment.TrialSpec, Nothing, experiment.TrialNotes),
    Kind.TRIAL_COMPONENT: (experiment.TrialComponentSpec, Nothing, experiment.TrialComponentNotes),
    Kind.MODEL_CARD: (model_card.ModelCardSpec, Nothing, model_card.ModelCardNotes),
    Kind.MODEL_CARD_VERSION: (model_card.ModelCardVersionSpec, Nothing, Nothing),
}
"""Per kind: the types of `spec`, `status` and `modelport`."""


def to_document(view: Any) -> dict[str, Any]:
    """Return a dataclass in SageMaker's spelling, ready for JSON (times as RFC 3339)."""
    return typing.cast("dict[str, Any]", _rename(msgspec.to_builtins(view), type(view), _pascal))


def from_document(view: type[T], document: dict[str, Any]) -> T:
    """Read a dataclass from SageMaker's spelling.

    Raises:
        InvalidInput: A field is unknown, missing or of the wrong type; names it.
    """
    return _convert(_restore(document, view), view)


def from_request(view: type[T], request: dict[str, Any]) -> T:
    """Read a dataclass from an AWS client's request, whose other members mean nothing here.

    Raises:
        InvalidInput: A member is missing or of the wrong type; names it.
    """
    return _convert(_restore(request, view, known_only=True), view)


def to_fields(view: Any) -> dict[str, Any]:
    """Return a dataclass in snake_case, as our own REST writes it."""
    return typing.cast("dict[str, Any]", _rename(msgspec.to_builtins(view), type(view), str))


def from_fields(view: type[T], document: dict[str, Any]) -> T:
    """Read a dataclass from snake_case.

    Raises:
        InvalidInput: A field is missing or of the wrong type; names it.
    """
    return _convert(document, view)


def _convert(document: Any, view: type[T]) -> T:
    try:
        return msgspec.convert(document, type=view)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"not a {view.__name__}: {error}") from error


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _rename(value: Any, kind: Any, spell: Callable[[str], str]) -> Any:
    """Re-spell the keys that are field names, and drop what is empty."""
    inner = _member(kind)
    if isinstance(value, dict) and is_dataclass(inner):
        hints = _hints(typing.cast("type", inner))
        optional = {field.name for field in fields(inner) if not _required(field)}
        return {
            spell(name): _rename(item, hints[name], spell)
            for name, item in value.items()
            if not (name in optional and (item is None or item in ((), {})))
        }
    if isinstance(value, list | tuple):
        return [_rename(item, inner, spell) for item in value]
    return value


def _restore(value: Any, kind: Any, *, known_only: bool = False) -> Any:
    """Turn SageMaker's keys back into field names, guided by the types."""
    inner = _member(kind)
    if isinstance(value, dict) and is_dataclass(inner):
        names = {_pascal(field.name): field.name for field in fields(inner)}
        hints = _hints(typing.cast("type", inner))
        unknown = sorted(set(value) - set(names))
        if unknown and not known_only:
            raise InvalidInput(
                f"unknown field {unknown[0]!r}", hint=f"known fields: {', '.join(sorted(names))}"
            )
        return {
            names[key]: _restore(item, hints[names[key]], known_only=known_only)
            for key, item in value.items()
            if key in names
        }
    if isinstance(value, list):
        return [_restore(item, inner, known_only=known_only) for item in value]
    return value


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@functools.cache
def _hints(view: type) -> dict[str, Any]:
    return typing.get_type_hints(view)


def _member(kind: Any) -> Any:
    """Return the class inside an Optional or a tuple; the class itself otherwise."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _member(next(option for option in typing.get_args(kind) if option is not types.NoneType))
    if origin is tuple:
        return _member(typing.get_args(kind)[0])
    return kind

"""A resource as a row, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from modelport.domain.errors import Corrupted, InvalidInput
from modelport.domain.resource import Event, Kind, Resource
from modelport.wire.documents import VIEWS, from_document, to_document

CONTENT = (
    "kind",
    "name",
    "parent",
    "spec",
    "status",
    "modelport",
    "generation",
    "observed_generation",
    "created_at",
    "modified_at",
)
"""The columns a row's digest speaks for. The lease is not among them: it is changed in place."""


def to_row(resource: Resource[Any, Any, Any]) -> dict[str, Any]:
    """Return the row of a resource, with its digest."""
    row = {
        "kind": resource.kind.value,
        "name": resource.name,
        "parent": resource.parent,
        "spec": _encode(resource.spec),
        "status": _encode(resource.status),
        "modelport": _encode(resource.modelport),
        "generation": resource.generation,
        "observed_generation": resource.observed_generation,
        "created_at": write_time(resource.created_at),
        "modified_at": write_time(resource.modified_at),
    }
    row["digest"] = digest_of(row)
    return row


def from_row(row: Mapping[str, Any]) -> Resource[Any, Any, Any]:
    """Read a row.

    Raises:
        Corrupted: Its content is not what was written.
    """
    if digest_of(row) != row["digest"]:
        raise _damaged(row)
    try:
        kind = Kind(row["kind"])
        views: list[Any] = [
            from_document(view, msgspec.json.decode(row[column]))
            for view, column in zip(VIEWS[kind], ("spec", "status", "modelport"), strict=True)
        ]
    except (InvalidInput, ValueError) as error:
        raise _damaged(row) from error
    return Resource(
        kind=kind,
        name=row["name"],
        parent=row["parent"],
        spec=views[0],
        status=views[1],
        modelport=views[2],
        generation=row["generation"],
        observed_generation=row["observed_generation"],
        created_at=read_time(row["created_at"]),
        modified_at=read_time(row["modified_at"]),
    )


def to_event(row: Mapping[str, Any]) -> Event:
    """Read an event's row."""
    return Event(
        sequence=row["sequence"],
        at=read_time(row["at"]),
        principal=row["principal"],
        verb=row["verb"],
        kind=Kind(row["kind"]),
        name=row["name"],
        message=row["message"],
    )


def digest_of(row: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a row's content."""
    return hashlib.sha256(msgspec.json.encode([row[column] for column in CONTENT])).hexdigest()


def write_time(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC, always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read_time(text: str) -> datetime:
    """Read what `write_time` wrote."""
    return datetime.fromisoformat(text)


def _encode(view: Any) -> str:
    return msgspec.json.encode(to_document(view)).decode()


def _damaged(row: Mapping[str, Any]) -> Corrupted:
    return Corrupted(
        f"the record of {row['kind']} {row['name']!r} is damaged: its content is not what was written",
        hint="restore the home from a backup",
    )

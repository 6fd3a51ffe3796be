"""Resources that are only kept: nothing acts on them, so that what is written is so at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.domain.resource import Kind, Nothing, Resource
from modelport.stores.records.transaction import Transaction


def keep(
    tx: Transaction, kind: Kind, name: str, spec: Any, *, notes: Any = None, parent: str | None = None
) -> Resource[Any, Any, Any]:
    """Write down a new resource.

    Args:
        tx: Where.
        kind: Its kind.
        name: Its name.
        spec: What is written of it.
        notes: Our own; None: its kind has none.
        parent: What it belongs to.

    Raises:
        Conflict: The name is taken.
    """
    made: Resource[Any, Any, Any] = Resource(
        kind=kind,
        name=name,
        parent=parent,
        spec=spec,
        status=Nothing(),
        modelport=Nothing() if notes is None else notes,
        generation=1,
        observed_generation=1,
        created_at=tx.now,
        modified_at=tx.now,
    )
    tx.create(made)
    tx.event("create", kind, name)
    return made


def rewrite(
    tx: Transaction, found: Resource[Any, Any, Any], spec: Any, told: str = ""
) -> Resource[Any, Any, Any]:
    """Write down something else of a resource.

    Args:
        tx: Where.
        found: The resource.
        spec: What is written of it from now on.
        told: What changed, for people.
    """
    generation = found.generation + 1
    changed = replace(
        found, spec=spec, generation=generation, observed_generation=generation, modified_at=tx.now
    )
    tx.put(changed)
    tx.event("update", found.kind, found.name, told)
    return changed


def forget(tx: Transaction, found: Resource[Any, Any, Any]) -> None:
    """Delete a resource."""
    tx.remove(found.kind, found.name)
    tx.event("delete", found.kind, found.name)

"""Resources as services write them: made, rewritten and deleted, each with its event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.domain.resource import Kind, Nothing, Resource
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction


def make(  # noqa: PLR0913 (each is one fact about a resource; most kinds have few of them)
    tx: Transaction,
    kind: Kind,
    name: str,
    spec: Any,
    *,
    parent: str | None = None,
    status: Any = None,
    notes: Any = None,
    settled: bool = True,
    verb: str = "create",
    told: str = "",
) -> Resource[Any, Any, Any]:
    """Write down a new resource.

    Args:
        tx: Where.
        kind: Its kind.
        name: Its name.
        spec: The wish.
        parent: What it belongs to.
        status: What is so of it; None: its kind has none.
        notes: Our own; None: its kind has none.
        settled: Nobody has to make the wish true: what is written is so at once.
        verb: Of the event.
        told: What the event says.

    Raises:
        Conflict: The name is taken.
    """
    made: Resource[Any, Any, Any] = Resource(
        kind=kind,
        name=name,
        parent=parent,
        spec=spec,
        status=Nothing() if status is None else status,
        modelport=Nothing() if notes is None else notes,
        generation=1,
        observed_generation=1 if settled else 0,
        created_at=tx.now,
        modified_at=tx.now,
    )
    tx.create(made)
    tx.event(verb, kind, name, told)
    return made


def rewrite(
    tx: Transaction, found: Resource[Any, Any, Any], spec: Any, told: str = ""
) -> Resource[Any, Any, Any]:
    """Write down something else of a resource, which is so at once.

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


def forget(tx: Transaction, kind: Kind, name: str, told: str = "") -> None:
    """Delete a resource.

    Args:
        tx: Where.
        kind: Its kind.
        name: Its name.
        told: What the event says.
    """
    tx.remove(kind, name)
    tx.event("delete", kind, name, told)


def look_until_settled(records: Records, kind: Kind, name: str, wait_s: float) -> Resource[Any, Any, Any]:
    """Return a resource, after waiting for its newest wish to be settled.

    Args:
        records: Where it is kept.
        kind: Its kind.
        name: Its name.
        wait_s: Seconds to wait, at most.

    Raises:
        NotFound: There is none of that name.
    """

    def look() -> Resource[Any, Any, Any]:
        with records.reading() as tx:
            return tx.get(kind, name)

    return records.look_until(look, lambda found: found.settled, wait_s)

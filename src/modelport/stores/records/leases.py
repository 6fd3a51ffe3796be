"""Leases: who may write a resource's status back, for how long; the only place that knows how.

A lease is taken by one atomic update and named by a random token. Whoever lost it (it expired and another
took it, or the wish changed meanwhile) finds that the write-back matches no row, and drops what it has:
the token, not the clock, keeps two writers apart.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, update

from modelport.domain.resource import Kind, Resource
from modelport.stores.records.rows import CONTENT, to_row
from modelport.stores.records.tables import resources
from modelport.stores.records.transaction import Transaction

DURATION_S = 30.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one resource's status back.

    Args:
        kind: Of the resource.
        name: Of the resource.
        token: Names this lease; unguessable.
        until: When it ends unless taken again, aware, UTC.
    """

    kind: Kind
    name: str
    token: str
    until: datetime


def acquire(transaction: Transaction, kind: Kind, name: str, *, owner: str) -> Lease | None:
    """Take the lease of a resource.

    Args:
        transaction: A writing one.
        kind: Of the resource.
        name: Of the resource.
        owner: Who asks. It gets its own lease anew at once: one that died and came back need not wait.

    Returns:
        The lease, or None when somebody else holds it or there is no such resource.
    """
    now = transaction.now.timestamp()
    token = secrets.token_hex(16)
    taken = transaction.connection.execute(
        update(resources)
        .where(
            resources.c.kind == kind.value,
            resources.c.name == name,
            or_(
                resources.c.lease_owner.is_(None),
                resources.c.lease_owner == owner,
                resources.c.lease_until <= now,
                # It ends later than any lease can: it was written by a clock that has been set back since.
                resources.c.lease_until > now + DURATION_S,
            ),
        )
        .values(lease_owner=owner, lease_token=token, lease_until=now + DURATION_S)
    )
    if taken.rowcount == 0:
        return None
    return Lease(kind, name, token, datetime.fromtimestamp(now + DURATION_S, transaction.now.tzinfo))


def write_back(
    transaction: Transaction, lease: Lease, resource: Resource[Any, Any, Any], *, release: bool
) -> bool:
    """Write a leased resource, if the lease is still held and the wish is still the one it speaks of.

    Args:
        transaction: A writing one.
        lease: Taken before `resource` was read.
        resource: Its new state, of the generation that was read.
        release: Give the lease back with it.

    Returns:
        Whether it was written; False means that it is stale: drop it and look again.
    """
    row = to_row(resource)
    values = {name: row[name] for name in (*CONTENT[2:], "digest")}
    if release:
        values |= {"lease_owner": None, "lease_token": None, "lease_until": None}
    written = transaction.connection.execute(
        update(resources)
        .where(
            resources.c.kind == lease.kind.value,
            resources.c.name == lease.name,
            resources.c.lease_token == lease.token,
            resources.c.generation == resource.generation,
        )
        .values(values)
    )
    return written.rowcount > 0


def remove(transaction: Transaction, lease: Lease, *, generation: int) -> bool:
    """Take a leased resource away, under the same condition; return whether it was."""
    gone = transaction.connection.execute(
        delete(resources).where(
            resources.c.kind == lease.kind.value,
            resources.c.name == lease.name,
            resources.c.lease_token == lease.token,
            resources.c.generation == generation,
        )
    )
    return gone.rowcount > 0

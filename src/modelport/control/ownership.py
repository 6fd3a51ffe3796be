"""The leases of this control process: taken when it acts on a resource, kept until the wish is settled."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

from modelport.domain.clock import Clock
from modelport.domain.resource import Kind, Resource
from modelport.stores.records import leases
from modelport.stores.records.leases import Lease
from modelport.stores.records.records import Records

RENEW_BEFORE = timedelta(seconds=leases.DURATION_S / 2)


class Ownership:
    """Which resources this process may write back.

    Args:
        records: Where leases are kept.
        clock: Tells when one nears its end.
        owner: Names the home this process works for; a successor in the same home takes over at once.
    """

    def __init__(self, records: Records, clock: Clock, owner: str) -> None:
        self._records = records
        self._clock = clock
        self._owner = f"{os.uname().nodename}:{owner}"[-200:]
        self._held: dict[tuple[Kind, str], Lease] = {}

    def hold(self, resource: Resource[Any, Any, Any]) -> bool:
        """Return whether this process may act on a resource as it was read.

        Args:
            resource: As it was read before. It is read again when the lease is taken: another may have
                written it in between, and then the answer is no, look again.
        """
        key = (resource.kind, resource.name)
        held = self._held.get(key)
        if held is not None and held.until - self._clock.now() > RENEW_BEFORE:
            return True
        with self._records.transaction() as tx:
            lease = leases.acquire(tx, *key, owner=self._owner)
            fresh = None if lease is None else tx.find(*key)
        if lease is None:
            self._held.pop(key, None)
            return False
        self._held[key] = lease
        return fresh == resource

    def holds(self, resource: Resource[Any, Any, Any]) -> bool:
        """Return whether this process has the lease of a resource."""
        return (resource.kind, resource.name) in self._held

    def write_back(
        self,
        resource: Resource[Any, Any, Any],
        message: str | None = None,
        *,
        release: bool = True,
    ) -> bool:
        """Write a held resource back, with its event; return False when it is stale and was dropped.

        Args:
            resource: Its new state, of the generation that was read.
            message: What the event says; None: no event.
            release: Its wish is settled; let go of it.
        """
        key = (resource.kind, resource.name)
        lease = self._held.get(key)
        if lease is None:
            return False
        with self._records.transaction() as tx:
            current = tx.find(*key)
            if current is not None:  # tags are no part of a wish: they may change while it comes true
                resource = replace(resource, spec=replace(resource.spec, tags=current.spec.tags))
            written = leases.write_back(tx, lease, resource, release=release)
            if written and message is not None:
                tx.event("status", *key, message)
        if release or not written:
            self._held.pop(key, None)
        return written

    def remove(self, resource: Resource[Any, Any, Any], message: str) -> bool:
        """Take a held resource away, with its event; return False when it is stale and was kept."""
        key = (resource.kind, resource.name)
        lease = self._held.pop(key, None)
        if lease is None:
            return False
        with self._records.transaction() as tx:
            gone = leases.remove(tx, lease, generation=resource.generation)
            if gone:
                tx.event("status", *key, message)
        return gone

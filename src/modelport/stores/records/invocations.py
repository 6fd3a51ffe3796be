"""The queue of asynchronous requests, within a transaction of the records."""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, func, insert, select

from modelport.domain.invocations import Invocation, Queued
from modelport.stores.records.tables import invocations
from modelport.stores.records.transaction import Transaction

NUMBERS = "invocation"
"""The counter that requests take their numbers from."""


class InvocationQueue:
    """Reads and writes the queue.

    Args:
        tx: What it belongs to.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, invocation: Invocation) -> int:
        """Add a request behind all others; return its number."""
        number = self._tx.next_number(NUMBERS)
        document = msgspec.json.encode(invocation).decode("utf-8")
        self._connection.execute(
            insert(invocations).values(number=number, endpoint=invocation.endpoint, document=document)
        )
        return number

    def size(self, endpoint: str) -> int:
        """Return how many requests of an endpoint have no answer yet."""
        query = select(func.count()).select_from(invocations).where(invocations.c.endpoint == endpoint)
        return self._connection.execute(query).scalar_one()

    def sizes(self) -> dict[str, int]:
        """Return how many requests of each endpoint have no answer yet; one without any is absent."""
        query = select(invocations.c.endpoint, func.count()).group_by(invocations.c.endpoint)
        return {row[0]: row[1] for row in self._connection.execute(query)}

    def first(self, endpoint: str, limit: int) -> list[Queued]:
        """Return the oldest requests of an endpoint."""
        query = (
            select(invocations)
            .where(invocations.c.endpoint == endpoint)
            .order_by(invocations.c.number)
            .limit(limit)
        )
        return [
            Queued(row["number"], msgspec.json.decode(row["document"], type=Invocation))
            for row in self._connection.execute(query).mappings()
        ]

    def remove(self, number: int) -> bool:
        """Forget a request; return whether it was there."""
        gone = self._connection.execute(delete(invocations).where(invocations.c.number == number))
        return gone.rowcount > 0

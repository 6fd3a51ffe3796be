"""One transaction: resources and the events that tell of them, together or not at all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from modelport.domain.errors import Conflict, NotFound
from modelport.domain.resource import Event, Kind, Resource
from modelport.stores.records.rows import CONTENT, from_row, to_event, to_row, write_time
from modelport.stores.records.tables import counters, events, resources

MESSAGE_LENGTH_MAX = 4_000
PAGE_MAX = 1_000
_COLUMNS = [*(resources.c[name] for name in CONTENT), resources.c.digest]

NOUNS = {
    Kind.MODEL_PACKAGE_GROUP: "model package group",
    Kind.MODEL_PACKAGE: "model version",
    Kind.MODEL: "model",
    Kind.ENDPOINT_CONFIG: "endpoint config",
    Kind.ALARM: "alarm",
    Kind.SCALABLE_TARGET: "scalable target",
    Kind.ENDPOINT: "endpoint",
    Kind.INFERENCE_COMPONENT: "inference component",
    Kind.TRANSFORM_JOB: "transform job",
    Kind.PROCESSING_JOB: "processing job",
    Kind.EXPERIMENT: "experiment",
    Kind.TRIAL: "trial",
    Kind.TRIAL_COMPONENT: "trial component",
    Kind.MODEL_CARD: "model card",
    Kind.MODEL_CARD_VERSION: "model card version",
}
_LISTS = {
    Kind.MODEL_PACKAGE_GROUP: "modelport models",
    Kind.MODEL_PACKAGE: "modelport models NAME",
    Kind.MODEL: "modelport models",
    Kind.ENDPOINT_CONFIG: "modelport endpoints",
    Kind.ENDPOINT: "modelport endpoints",
    Kind.ALARM: "aws cloudwatch describe-alarms",
    Kind.SCALABLE_TARGET: "aws application-autoscaling describe-scalable-targets",
    Kind.INFERENCE_COMPONENT: "aws sagemaker list-inference-components",
    Kind.TRANSFORM_JOB: "modelport jobs",
    Kind.PROCESSING_JOB: "modelport jobs",
    Kind.EXPERIMENT: "aws sagemaker list-experiments",
    Kind.TRIAL: "aws sagemaker list-trials",
    Kind.TRIAL_COMPONENT: "aws sagemaker list-trial-components",
    Kind.MODEL_CARD: "aws sagemaker list-model-cards",
    Kind.MODEL_CARD_VERSION: "aws sagemaker list-model-card-versions --model-card-name NAME",
}


class Transaction:
    """What services and the loop may do to the records. Ends with the block that opened it.

    Args:
        connection: In a transaction; writing ones are serial.
        principal: Whom events name.
        now: The time of everything written here, aware, UTC.
    """

    def __init__(self, connection: Connection, *, principal: str, now: datetime) -> None:
        self.connection = connection
        self.principal = principal
        self.now = now

    def find(self, kind: Kind, name: str) -> Resource[Any, Any, Any] | None:
        """Return a resource, or None.

        Raises:
            Corrupted: Its record is damaged.
        """
        query = select(*_COLUMNS).where(resources.c.kind == kind.value, resources.c.name == name)
        row = self.connection.execute(query).mappings().first()
        return None if row is None else from_row(dict(row))

    def get(self, kind: Kind, name: str) -> Resource[Any, Any, Any]:
        """Return a resource.

        Raises:
            NotFound: There is none of that name.
            Corrupted: Its record is damaged.
        """
        found = self.find(kind, name)
        if found is None:
            raise NotFound(
                f"there is no {NOUNS[kind]} {name!r}", hint=f"`{_LISTS[kind]}` lists what is there"
            )
        return found

    def all(
        self,
        kind: Kind,
        *,
        parent: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Resource[Any, Any, Any]]:
        """Return the resources of a kind, by name.

        Args:
            kind: Which.
            parent: Only those of this parent.
            after: Only names that sort after this one.
            limit: At most so many, None for all.

        Raises:
            Corrupted: One of them is damaged.
        """
        query = select(*_COLUMNS).where(resources.c.kind == kind.value).order_by(resources.c.name)
        if parent is not None:
            query = query.where(resources.c.parent == parent)
        if after is not None:
            query = query.where(resources.c.name > after)
        if limit is not None:
            query = query.limit(limit)
        return [from_row(dict(row)) for row in self.connection.execute(query).mappings()]

    def names(self, kind: Kind) -> list[str]:
        """Return the names of a kind, sorted, also of damaged records."""
        query = select(resources.c.name).where(resources.c.kind == kind.value).order_by(resources.c.name)
        return list(self.connection.execute(query).scalars())

    def digests(self, kind: Kind) -> dict[str, str]:
        """Return the digest of each record of a kind, by name: tells cheaply which have changed."""
        query = select(resources.c.name, resources.c.digest).where(resources.c.kind == kind.value)
        return {row.name: row.digest for row in self.connection.execute(query)}

    def unsettled(self, kind: Kind) -> list[str]:
        """Return the names of a kind whose wish is newer than what their status speaks of, sorted."""
        query = (
            select(resources.c.name)
            .where(
                resources.c.kind == kind.value,
                resources.c.observed_generation < resources.c.generation,
            )
            .order_by(resources.c.name)
        )
        return list(self.connection.execute(query).scalars())

    def create(self, resource: Resource[Any, Any, Any]) -> Resource[Any, Any, Any]:
        """Add a resource.

        Raises:
            Conflict: The name is taken.
        """
        try:
            self.connection.execute(insert(resources).values(to_row(resource)))
        except IntegrityError as error:
            raise Conflict(
                f"{NOUNS[resource.kind]} {resource.name!r} exists already", hint="choose another name"
            ) from error
        return resource

    def put(self, resource: Resource[Any, Any, Any]) -> Resource[Any, Any, Any]:
        """Write an existing resource anew. A lease on it stays.

        Raises:
            NotFound: There is none of that name.
        """
        row = to_row(resource)
        changed = self.connection.execute(
            update(resources)
            .where(resources.c.kind == row["kind"], resources.c.name == row["name"])
            .values({name: row[name] for name in (*CONTENT[2:], "digest")})
        )
        if changed.rowcount == 0:
            raise NotFound(f"there is no {NOUNS[resource.kind]} {resource.name!r} any more")
        return resource

    def remove(self, kind: Kind, name: str) -> bool:
        """Take a resource away; return whether it was there."""
        gone = self.connection.execute(
            delete(resources).where(resources.c.kind == kind.value, resources.c.name == name)
        )
        return gone.rowcount > 0

    def event(self, verb: str, kind: Kind, name: str, message: str = "") -> None:
        """Append what happened, in the name of the transaction's principal."""
        newest = self.connection.execute(select(func.max(events.c.sequence))).scalar()
        self.connection.execute(
            insert(events).values(
                sequence=(newest or 0) + 1,
                at=write_time(self.now),
                principal=self.principal,
                verb=verb,
                kind=kind.value,
                name=name,
                message=message[:MESSAGE_LENGTH_MAX],
            )
        )

    def events(
        self,
        *,
        kind: Kind | None = None,
        name: str | None = None,
        after: int = 0,
        limit: int = PAGE_MAX,
    ) -> list[Event]:
        """Return events in their order.

        Args:
            kind: Only of this kind.
            name: Only of resources of this name.
            after: Only those whose sequence is larger.
            limit: At most so many.
        """
        query = select(events).where(events.c.sequence > after).order_by(events.c.sequence).limit(limit)
        if kind is not None:
            query = query.where(events.c.kind == kind.value)
        if name is not None:
            query = query.where(events.c.name == name)
        return [to_event(dict(row)) for row in self.connection.execute(query).mappings()]

    def next_number(self, counter: str, *, at_least: int = 1) -> int:
        """Return a number this counter never gave before.

        Args:
            counter: Its name.
            at_least: The smallest number that will do.
        """
        found = self.connection.execute(select(counters.c.value).where(counters.c.name == counter)).scalar()
        value = max((found or 0) + 1, at_least)
        if found is None:
            self.connection.execute(insert(counters).values(name=counter, value=value))
        else:
            self.connection.execute(update(counters).where(counters.c.name == counter).values(value=value))
        return value

"""What runs, what is unhealthy and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelport import __version__
from modelport.domain.endpoint import Endpoint, EndpointStatus
from modelport.domain.errors import Corrupted
from modelport.domain.planning.rollout import WorkerView
from modelport.domain.resource import Kind
from modelport.domain.routes import RouteTable
from modelport.settings import HomeLayout
from modelport.stores.records.records import Records
from modelport.wire.suspects import read_suspects


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A resource whose wish has not come true, or failed.

    Args:
        kind: What it is.
        name: Which.
        status: Where it stands.
        reason: Why, where that is known.
    """

    kind: Kind
    name: str
    status: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A request that is not run any more, since workers died of it.

    Args:
        endpoints: Which serve the model that cannot answer it.
        model_version: The version it was sent to.
        request: SHA-256 of the length and the beginning of its rows, in hex.
        crashes: How many workers it was in when they died.
    """

    endpoints: tuple[str, ...]
    model_version: str
    request: str
    crashes: int


@dataclass(frozen=True, slots=True)
class PlatformStatus:
    """The platform at one moment.

    Args:
        version: Of modelport.
        control_url: Where wishes go.
        inference_url: Where predictions come from.
        inference_socket: Path of the Unix socket where they come from too.
        grpc_url: `host:port` where they come from over gRPC; None where that was not asked for.
        processes: The supervisor's table, as it wrote it.
        workers: The workers that are connected.
        workers_expected: How many there should be.
        active_revision: The route table that serves; 0: none yet.
        unsettled: What is not as it was wished.
        quarantined: Requests that workers died of.
    """

    version: str
    control_url: str | None
    inference_url: str | None
    inference_socket: str | None
    grpc_url: str | None
    processes: Any
    workers: tuple[WorkerView, ...]
    workers_expected: int
    active_revision: int
    unsettled: tuple[Unsettled, ...]
    quarantined: tuple[Quarantined, ...]


class Status:
    """Looks at everything; changes nothing.

    Args:
        records: Knows the wishes.
        layout: Where the supervisor leaves its files.
        workers: Returns what the feed knows.
        workers_expected: How many inference workers there should be.
        routes: Returns the table that serves.
    """

    def __init__(
        self,
        records: Records,
        layout: HomeLayout,
        *,
        workers: Callable[[], Sequence[WorkerView]],
        workers_expected: int,
        routes: Callable[[], RouteTable],
    ) -> None:
        self._records = records
        self._layout = layout
        self._workers = workers
        self._workers_expected = workers_expected
        self._routes = routes

    def read(self) -> PlatformStatus:
        """Return the platform as it is now."""
        urls = _read_json(self._layout.endpoint_file) or {}
        return PlatformStatus(
            version=__version__,
            control_url=urls.get("control_url"),
            inference_url=urls.get("inference_url"),
            inference_socket=urls.get("inference_socket"),
            grpc_url=urls.get("grpc_url"),
            processes=_read_json(self._layout.processes_file),
            workers=tuple(self._workers()),
            workers_expected=self._workers_expected,
            active_revision=self._routes().revision,
            unsettled=tuple(self._unsettled()),
            quarantined=tuple(self._quarantined()),
        )

    def _quarantined(self) -> list[Quarantined]:
        suspects = [one for one in read_suspects(self._layout.suspects) if one.quarantined]
        if not suspects:
            return []
        routes = self._routes()
        found = []
        for suspect in sorted(suspects, key=lambda one: one.at):
            places = [
                (endpoint.endpoint, variant.model_version)
                for endpoint in routes.endpoints
                for variant in endpoint.variants
                if variant.digest == suspect.model
            ]
            if places:  # a model that no longer serves cannot be harmed
                endpoints = tuple(sorted({endpoint for endpoint, _ in places}))
                found.append(Quarantined(endpoints, places[0][1], suspect.request, suspect.crashes))
        return found

    def _unsettled(self) -> list[Unsettled]:
        found = []
        with self._records.reading() as tx:
            for name in tx.names(Kind.ENDPOINT):
                try:
                    endpoint: Endpoint = tx.get(Kind.ENDPOINT, name)
                except Corrupted as error:
                    found.append(Unsettled(Kind.ENDPOINT, name, "Corrupted", str(error)))
                    continue
                status = endpoint.status
                if not endpoint.settled or status.endpoint_status is EndpointStatus.FAILED:
                    found.append(
                        Unsettled(Kind.ENDPOINT, name, status.endpoint_status.value, status.failure_reason)
                    )
        return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None

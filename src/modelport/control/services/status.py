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
from modelport.settings import HomeLayout
from modelport.stores.records.records import Records


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
class PlatformStatus:
    """The platform at one moment.

    Args:
        version: Of modelport.
        control_url: Where wishes go.
        inference_url: Where predictions come from.
        inference_socket: Path of the Unix socket where they come from too.
        processes: The supervisor's table, as it wrote it.
        workers: The workers that are connected.
        workers_expected: How many there should be.
        active_revision: The route table that serves; 0: none yet.
        unsettled: What is not as it was wished.
    """

    version: str
    control_url: str | None
    inference_url: str | None
    inference_socket: str | None
    processes: Any
    workers: tuple[WorkerView, ...]
    workers_expected: int
    active_revision: int
    unsettled: tuple[Unsettled, ...]


class Status:
    """Looks at everything; changes nothing.

    Args:
        records: Knows the wishes.
        layout: Where the supervisor leaves its files.
        workers: Returns what the feed knows.
        workers_expected: How many inference workers there should be.
        active_revision: Returns the revision that serves.
    """

    def __init__(
        self,
        records: Records,
        layout: HomeLayout,
        *,
        workers: Callable[[], Sequence[WorkerView]],
        workers_expected: int,
        active_revision: Callable[[], int],
    ) -> None:
        self._records = records
        self._layout = layout
        self._workers = workers
        self._workers_expected = workers_expected
        self._active_revision = active_revision

    def read(self) -> PlatformStatus:
        """Return the platform as it is now."""
        urls = _read_json(self._layout.endpoint_file) or {}
        return PlatformStatus(
            version=__version__,
            control_url=urls.get("control_url"),
            inference_url=urls.get("inference_url"),
            inference_socket=urls.get("inference_socket"),
            processes=_read_json(self._layout.processes_file),
            workers=tuple(self._workers()),
            workers_expected=self._workers_expected,
            active_revision=self._active_revision(),
            unsettled=tuple(self._unsettled()),
        )

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

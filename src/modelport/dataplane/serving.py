"""What a worker serves over time: the last table on disk, then what control asks for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path

import structlog

from modelport.dataplane.loading import LoadingMarks, Models, Report, State
from modelport.dataplane.tables import ServingTable, Tables
from modelport.dataplane.threads import OneThread
from modelport.domain.errors import InvalidInput
from modelport.domain.routes import RouteTable
from modelport.telemetry.slots import MetricSlot
from modelport.wire.feed import active_file, decode_routes, route_file

log = structlog.get_logger()


class Serving:
    """The tables and models of a worker.

    Args:
        folder: `run/routes`.
        models: Those in memory.
        marks: This worker's loading marks.
        slot: Where tables count.
        try_model: Tries a model in a process of its own; returns why it does not work. None: cannot.
    """

    def __init__(
        self,
        folder: Path,
        models: Models,
        marks: LoadingMarks,
        slot: MetricSlot,
        try_model: Callable[[str], str | None] | None = None,
    ) -> None:
        self._folder = folder
        self._models = models
        self._marks = marks
        self._slot = slot
        self._try_model = try_model
        self._trials = OneThread("trials")
        self._prepared: dict[int, ServingTable] = {}
        self._lock = asyncio.Lock()
        self._told_drained: Callable[[int], None] = lambda _: None
        self.failures: dict[str, str] = {}
        self.started = False
        self.tables = Tables(ServingTable(RouteTable(0), {}, slot), self._drained)

    @property
    def revision(self) -> int:
        """Return the revision that new requests belong to; 0 when there is none."""
        return self.tables.current.routes.revision

    def on_drained(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with each revision that has no request left."""
        self._told_drained = tell

    async def start(self) -> None:
        """Serve the table that was activated last, as far as its models load."""
        try:
            revision = int((await asyncio.to_thread(active_file(self._folder).read_bytes)).decode("ascii"))
        except FileNotFoundError:
            revision = 0
        except ValueError as error:
            log.warning("routes.unreadable", file="active", reason=str(error))
            revision = 0
        if revision:
            try:
                await self.activate(revision, _no_report)
            except (InvalidInput, OSError) as error:
                log.warning("routes.unreadable", revision=revision, reason=str(error))
        self.started = True

    async def prepare(self, revision: int, report: Report) -> tuple[str, str] | None:
        """Load what a revision needs beside what is served.

        Args:
            revision: Its file is in the routes folder.
            report: Hears of each model that was not in memory.

        Returns:
            None when it can be activated; else digest and reason of a model at fault. A model that failed
            before and is asked for in the same place as now is not at fault: nothing gets worse.

        Raises:
            InvalidInput: The file is no route table.
            OSError: The file cannot be read.
        """
        async with self._lock:
            table = await self._build(revision, report)
            fault = self._fault(table)
            self._prepared = {} if fault else {revision: table}
        self._unload_unneeded()
        return fault

    async def activate(self, revision: int, report: Report) -> None:
        """Let new requests belong to a revision; loads it first when it was not prepared.

        Raises:
            InvalidInput: The file is no route table.
            OSError: The file cannot be read.
        """
        table = self._prepared.pop(revision, None)
        if table is None:
            if revision == self.revision:
                return
            async with self._lock:
                table = await self._build(revision, report)
        self.tables.activate(table)
        log.info("routes.activated", revision=revision)

    async def try_marked(self, report: Report) -> None:
        """Try the models this worker may have died of, each in a process of its own, and serve what works."""
        marked = self._marks.found() & self.tables.current.routes.digests()
        if self._try_model is None:
            return
        recovered = False
        for digest in sorted(marked):
            reason = await asyncio.wrap_future(self._trials.submit(self._try_model, digest))
            if reason is None:
                log.info("model.recovered", digest=digest)
                await asyncio.to_thread(self._marks.remove, digest)
                recovered = True
            else:
                self.failures[digest] = reason
                report(digest, "failed", reason)
        while recovered:
            async with self._lock:
                revision = self.revision
                table = await self._build(revision, report)
                recovered = revision != self.revision  # another table was activated meanwhile
                if not recovered:
                    self.tables.activate(table)

    async def _build(self, revision: int, report: Report) -> ServingTable:
        routes = decode_routes(await asyncio.to_thread(route_file(self._folder, revision).read_bytes))
        if routes.revision != revision:
            raise InvalidInput(f"the file of revision {revision} holds revision {routes.revision}")
        found = await self._models.ensure(sorted(routes.digests()), report)
        for digest, model in found.items():
            if isinstance(model, str):
                self.failures[digest] = model
            else:
                self.failures.pop(digest, None)
        return ServingTable(routes, found, self._slot)

    def _fault(self, table: ServingTable) -> tuple[str, str] | None:
        """Return a failed model that is to serve where it does not serve now; None when there is none."""
        for endpoint, variant, digest in sorted(_places(table.routes) - _places(self.tables.current.routes)):
            if digest in self.failures:
                log.warning("routes.refused", endpoint=endpoint, variant=variant, digest=digest)
                return digest, self.failures[digest]
        return None

    def _drained(self, table: ServingTable) -> None:
        revision = table.routes.revision
        if revision not in (0, self.revision):  # the same one again: a model of it was mended
            self._told_drained(revision)
        asyncio.get_running_loop().call_soon(self._unload_unneeded)

    def _unload_unneeded(self) -> None:
        if self._lock.locked():  # a table is being built; what it needs is not known yet
            return
        tables = [self.tables.current, *self.tables.draining, *self._prepared.values()]
        needed = {digest for table in tables for digest in table.routes.digests()}
        self.failures = {digest: reason for digest, reason in self.failures.items() if digest in needed}
        if self._models.keep_only(needed):
            gc.collect()


def _places(routes: RouteTable) -> set[tuple[str, str, str]]:
    return {
        (endpoint.endpoint, variant.variant, variant.digest)
        for endpoint in routes.endpoints
        for variant in endpoint.variants
    }


def _no_report(digest: str, state: State, reason: str | None) -> None:
    del digest, state, reason

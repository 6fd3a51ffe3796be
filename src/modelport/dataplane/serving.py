"""What a worker serves over time: the last table on disk, then what control asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from modelport.dataplane.forward import Forwarders
from modelport.dataplane.hosted import HostedRequests
from modelport.dataplane.loading import CRASHED, LoadingMarks, Models, Report
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
        forwarders: The ways to code in replicas.
        marks: This worker's loading marks.
        slot: Where tables count.
        hosted: Requests that wait for models to be hosted.
        try_model: Tries a model in a process of its own; returns why it does not work. None: cannot.
        start_load_s: Seconds to load models before the first request is accepted.
    """

    def __init__(
        self,
        folder: Path,
        models: Models,
        forwarders: Forwarders,
        marks: LoadingMarks,
        slot: MetricSlot,
        hosted: HostedRequests,
        try_model: Callable[[str], str | None] | None = None,
        *,
        start_load_s: float = 0.0,
    ) -> None:
        self._folder = folder
        self._models = models
        self._forwarders = forwarders
        self._marks = marks
        self._slot = slot
        self._hosted = hosted
        self._try_model = try_model
        self._start_load_s = start_load_s
        self._trials = OneThread("trials")
        self._prepared: dict[int, ServingTable] = {}
        self._lock = asyncio.Lock()
        self._told_drained: Callable[[int], None] = lambda _: None
        self.started = False
        self.tables = Tables(self._tie(RouteTable(0)), self._drained)

    @property
    def revision(self) -> int:
        """Return the revision that new requests belong to; 0 when there is none."""
        return self.tables.current.routes.revision

    @property
    def failures(self) -> dict[str, str]:
        """Return the models that do not work, with the reason."""
        return self._models.failures

    def on_failed(self, tell: Callable[[str, str], None]) -> None:
        """Call `tell` with digest and reason of each model that worked, and does not load any more."""
        self._models.on_failed = tell

    def on_drained(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with each revision that has no request left."""
        self._told_drained = tell

    async def start(self) -> None:
        """Serve the table that was activated last; models that are not loaded in time follow later.

        They worked when the table was prepared, so they count as ready, but for those this worker may have
        died of.
        """
        try:
            revision = int((await asyncio.to_thread(active_file(self._folder).read_bytes)).decode("ascii"))
        except FileNotFoundError:
            revision = 0
        except ValueError as error:
            log.warning("routes.unreadable", file="active", reason=str(error))
            revision = 0
        if revision:
            try:
                table = self._tie(await self._read(revision))
                marked = self._marks.found()
                for digest in table.digests:
                    handle = self._models.handle(digest)
                    if digest in marked:
                        handle.fail(CRASHED)
                    else:
                        handle.expect()
                self.tables.activate(table)
                await self._models.preload(sorted(table.digests - marked), self._start_load_s)
            except (InvalidInput, OSError) as error:
                log.warning("routes.unreadable", revision=revision, reason=str(error))
        self.started = True

    async def prepare(self, revision: int, report: Report) -> tuple[str, str] | None:
        """Load what is new in a revision, beside what is served.

        Args:
            revision: Its file is in the routes folder.
            report: Hears of each model that is loaded for it.

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
        self._hosted.look_at(table.routes)

    async def try_marked(self, report: Report) -> None:
        """Try the models this worker may have died of, each in a process of its own, and serve what works."""
        marked = self._marks.found() & self.tables.current.digests
        if self._try_model is None:
            return
        for digest in sorted(marked):
            reason = await asyncio.wrap_future(self._trials.submit(self._try_model, digest))
            handle = self._models.find(digest)
            if reason is None:
                log.info("model.recovered", digest=digest)
                await asyncio.to_thread(self._marks.remove, digest)
                if handle is not None:
                    await self._models.ensure([digest], report)
            elif handle is not None and handle.batcher is None:
                handle.fail(reason)
                report(digest, "failed", reason)

    async def _read(self, revision: int) -> RouteTable:
        routes = await asyncio.to_thread(_read_routes, route_file(self._folder, revision))
        if routes.revision != revision:
            raise InvalidInput(f"the file of revision {revision} holds revision {routes.revision}")
        return routes

    def _tie(self, routes: RouteTable) -> ServingTable:
        return ServingTable(routes, self._models.handle, self._forwarders, self._slot, self._hosted.use)

    async def _build(self, revision: int, report: Report) -> ServingTable:
        table = self._tie(await self._read(revision))
        await self._models.ensure(sorted(table.digests), report)
        return table

    def _fault(self, table: ServingTable) -> tuple[str, str] | None:
        """Return a failed model that is to serve where it does not serve now; None when there is none."""
        failures = self.failures
        if not failures:
            return None
        for endpoint, variant, digest in sorted(_places(table.routes) - _places(self.tables.current.routes)):
            if digest in failures:
                log.warning("routes.refused", endpoint=endpoint, variant=variant, digest=digest)
                return digest, failures[digest]
        return None

    def _drained(self, table: ServingTable) -> None:
        if table.routes.revision:
            self._told_drained(table.routes.revision)
        asyncio.get_running_loop().call_soon(self._unload_unneeded)

    def _unload_unneeded(self) -> None:
        if self._lock.locked():  # a table is being built; what it needs is not known yet
            return
        tables = [self.tables.current, *self.tables.draining, *self._prepared.values()]
        self._models.keep_only(frozenset().union(*(table.digests for table in tables)))
        self._forwarders.keep_only(frozenset().union(*(table.replicas for table in tables)))


def _read_routes(path: Path) -> RouteTable:
    return decode_routes(path.read_bytes())


def _places(routes: RouteTable) -> set[tuple[str, str, str]]:
    return {
        (endpoint.endpoint, variant.variant, part.digest)
        for endpoint in routes.endpoints
        for variant in endpoint.variants
        for part in variant.parts
    }

"""One inference worker: its parts put together, from the first table to the last reply."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
import uvloop

from modelport import __version__
from modelport.access.scopes import Scope
from modelport.dataplane.batching import Answer, Batcher
from modelport.dataplane.capture import Capture
from modelport.dataplane.cold import ColdRequests
from modelport.dataplane.config import WorkerConfig
from modelport.dataplane.costs import Costs, measure_costs
from modelport.dataplane.descriptors import make_room
from modelport.dataplane.door import Door
from modelport.dataplane.exchange import Exchange
from modelport.dataplane.feed_client import FeedClient
from modelport.dataplane.flights import Flight
from modelport.dataplane.forward import Forwarders
from modelport.dataplane.hosted import HostedRequests
from modelport.dataplane.http import Connection
from modelport.dataplane.invoke import Invoker
from modelport.dataplane.loading import LoadingMarks, Models
from modelport.dataplane.memory import budget_for_models, machine_bytes, resident_bytes
from modelport.dataplane.pages import Page
from modelport.dataplane.protocols.async_invocations import AsyncInvocations
from modelport.dataplane.protocols.invocations import Invocations
from modelport.dataplane.protocols.kserve_v1 import KServeV1
from modelport.dataplane.protocols.open_inference import OpenInference
from modelport.dataplane.protocols.response_stream import ResponseStream
from modelport.dataplane.replies import build, plain_error
from modelport.dataplane.server import Plans, Server
from modelport.dataplane.serving import Serving
from modelport.dataplane.suspects import Suspects
from modelport.dataplane.threads import any_at_work
from modelport.dataplane.watchdog import Watchdog
from modelport.domain.clock import Clock
from modelport.runtime.codecs import Unpacking
from modelport.runtime.invariance import shared_rows
from modelport.runtime.model import LoadedModel
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.telemetry import metrics, prometheus
from modelport.telemetry.logs import configure_logs
from modelport.telemetry.slots import MetricSlot, read_totals, retire_dead

BACKLOG = 4096
FLUSH_S = 1.0
DRAIN_POLL_S = 0.01
SHARE_S = 0.5
GC_THRESHOLDS = (50_000, 20, 20)  # requests make no cycles; a collection every 700 objects finds nothing
SWITCH_INTERVAL_S = 0.001  # how long a thread (capture, loading) may keep the loop from running

log = structlog.get_logger()


def run_worker(
    config: WorkerConfig,
    sockets: Sequence[socket.socket],
    clock: Clock,
    *,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve predictions until SIGTERM or SIGINT, then finish what is open and return.

    Args:
        config: What to serve and within which limits.
        sockets: Listening sockets, inherited; they stay open in whoever made them.
        clock: Time.
        on_ready: Called once, when the last activated table is loaded and requests are accepted.
    """
    configure_logs(config.settings.log_level, process=f"inference-{config.index}")
    _limit_memory(config.settings.worker_memory_bytes_max)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)

    async def main() -> None:
        worker = Worker(config, clock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run(sockets, on_ready)

    uvloop.run(main())
    if any_at_work():  # a model hangs in native code, and everything else is done
        log.warning("worker.left_a_model_running")
        os._exit(0)


class Worker:
    """The parts of a worker, on the running loop.

    Args:
        config: What to serve and within which limits.
        clock: Time.
    """

    def __init__(self, config: WorkerConfig, clock: Clock) -> None:
        settings, layout = config.settings, config.settings.layout
        loop = asyncio.get_running_loop()
        self._config = config
        self._clock = clock
        self._loop = loop
        self._stopping = asyncio.Event()
        retire_dead(layout.metrics)
        self._slot = MetricSlot(layout.metrics, f"inference-{config.index}")
        self._artifacts = LocalArtifacts(layout.artifacts)
        self._differences: dict[str, float] = {}  # of models that depend on their batch, by digest
        marks = LoadingMarks(layout.marks, config.index)
        self._models = Models(
            self._load,
            self._host,
            marks,
            self._slot,
            now=clock.monotonic,
            timeout_s=settings.canary_timeout_s,
            bytes_max=budget_for_models(settings, machine_bytes()),
        )
        self._forwarders = Forwarders(
            layout.replicas,
            settings,
            loop,
            clock.monotonic,
            self._finish,
        )
        self._hosted = HostedRequests(
            self._slot,
            now=clock.monotonic,
            requests_max=settings.cold_requests_max,
            wait_s=settings.request_timeout_s,
        )
        self.serving = Serving(
            layout.routes,
            self._models,
            self._forwarders,
            marks,
            self._slot,
            self._hosted,
            config.try_model,
            start_load_s=settings.start_load_s,
        )
        self.feed = FeedClient(layout.feed_socket, config.index, self.serving, self._hosted)
        self._capture = Capture(layout.captures, settings, clock, self._slot)
        self._invoker = Invoker(
            self.serving.tables,
            settings,
            clock,
            loop,
            capture=self._capture,
            cold=ColdRequests(
                self._models,
                self._slot,
                now=clock.monotonic,
                requests_max=settings.cold_requests_max,
                wait_s=settings.cold_wait_s,
            ),
            hosted=self._hosted,
            count_refused=self._count_refused,
        )
        unpacking = Unpacking(settings.body_bytes_max, settings.unpacked_ratio_max)
        tables = self.serving.tables
        door = Door(
            (
                Invocations(unpacking),
                ResponseStream(unpacking),
                AsyncInvocations(unpacking),
                OpenInference(tables, self._show_ready, unpacking),
                KServeV1(tables, unpacking),
            ),
            {
                "/livez": Page(Scope.PUBLIC, lambda: build(200, b"ok\n", "text/plain")),
                "/readyz": Page(Scope.PUBLIC, self._show_ready),
                "/metrics": Page(Scope.STATUS_READ, self._show_metrics, before=self._write_numbers),
            },
            self._invoker.handle,
            allowed_hosts=config.allowed_hosts,
            callers=config.callers,
            count_refused=self._count_refused,
        )
        head_bytes_max = settings.header_bytes_max
        self._plans = Plans(door.plan_for, door.wanted, head_bytes_max)
        self._local_plans = Plans(door.plan_for_local, door.wanted, head_bytes_max)
        self.server = Server(
            replace(settings, connections_max=make_room(settings.connections_max)),
            clock,
            loop,
            count_refused=self._count_refused,
            count_cut=self._count_cut,
            handover=config.handover,
        )
        self._suspects = Suspects(layout.suspects, layout.flights, clock)
        self._flight = self._new_flight()
        self._watchdog = Watchdog(loop, settings.hang_timeout_s)

    def stop(self) -> None:
        """Begin to drain; `run` returns when it is done."""
        self._stopping.set()

    async def run(self, sockets: Sequence[socket.socket], on_ready: Callable[[], None]) -> None:
        """Serve until stopped."""
        starting = asyncio.create_task(self.serving.start())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            self._suspects.look()
            gc.collect()
            gc.freeze()
            await self._serve(sockets, on_ready)
        for task in (starting, stopped):
            await _end(task)
        self._forwarders.close()
        self.server.close()
        self._watchdog.close()
        await asyncio.to_thread(self._capture.close)
        self._models.close()
        self._flight.close()
        self._set_gauges()
        self._slot.close()
        log.info("worker.stopped", index=self._config.index)

    async def _serve(self, sockets: Sequence[socket.socket], on_ready: Callable[[], None]) -> None:
        servers = [await self._listen(one) for one in sockets]
        tasks = [
            asyncio.create_task(self.feed.run()),
            asyncio.create_task(self._flush()),
            asyncio.create_task(self._share()),
            asyncio.create_task(self.serving.try_marked(self.feed.report)),
        ]
        self._watchdog.start()
        if self._config.handover is not None:
            self._config.handover.start(self._loop, self._protocol_of)
            self.server.share()  # whoever ends just now may give to this one
        on_ready()
        log.info("worker.ready", index=self._config.index, revision=self.serving.revision)
        await self._stopping.wait()
        await self._drain(servers)
        for task in tasks:
            await _end(task)

    async def _listen(self, one: socket.socket) -> asyncio.Server:
        """Accept on a socket: one connection in each turn of the loop, so that a burst holds nobody up."""
        one.setblocking(False)
        listen = self._loop.create_unix_server if one.family is socket.AF_UNIX else self._loop.create_server
        return await listen(self._protocol_of(one), sock=one.dup(), backlog=BACKLOG)

    def _protocol_of(self, one: socket.socket) -> Callable[..., Connection]:
        """Return what makes the protocol of a connection, by where it came in."""
        plans = self._local_plans if one.family is socket.AF_UNIX else self._plans
        return partial(self.server.connect, plans)

    async def _drain(self, servers: list[asyncio.Server]) -> None:
        """Take no connection any more and give those there are to other workers.

        Where nobody takes them, as when the whole platform stops: answer what is open, keep quiet ones for
        a moment in which a request may be on its way, cut what takes too long.
        """
        for server in servers:
            server.close()
        handover, settings = self._config.handover, self._config.settings
        if handover is not None:
            handover.stop()
        began = self._clock.monotonic()
        while True:
            self.server.drain()
            await asyncio.sleep(DRAIN_POLL_S)  # also for connections accepted in this very turn
            open_requests = self.serving.tables.open()
            if not (self.server.connections or open_requests or (handover and handover.arriving)):
                break
            waited = self._clock.monotonic() - began
            if waited > settings.drain_timeout_s:
                log.warning("worker.cut", connections=len(self.server.connections))
                break
            if waited > settings.drain_linger_s and not self.server.may_hand_over():
                self.server.end_quiet()
        if handover is not None and handover.given:
            log.info("worker.handed_over", connections=handover.given)

    async def _share(self) -> None:
        while True:
            self.server.share()
            await asyncio.sleep(SHARE_S)

    async def _flush(self) -> None:
        while True:
            self._models.make_room()  # models that were busy when room was wanted
            self._forwarders.tidy()
            self._hosted.speak()
            self._write_numbers()
            self._suspects.look()
            await asyncio.sleep(FLUSH_S)

    def _set_gauges(self) -> None:
        self._slot.series(metrics.INFLIGHT).set(self.serving.tables.open())
        self._slot.series(metrics.CONNECTIONS).set(len(self.server.connections))
        self._slot.series(metrics.RSS, str(self._config.index)).set(resident_bytes())
        self._models.set_gauges()

    def _load(self, digest: str, costs: Costs | None) -> tuple[LoadedModel, Costs]:
        model = LoadedModel.load(self._artifacts, digest, self._config.settings.kernels)
        model.warm_up()
        if costs is not None:  # it was here before
            model.batch_difference = self._differences.get(digest, model.batch_difference)
            return model, costs
        model.compare_batches(self._clock.monotonic)
        if model.batch_difference:
            self._differences[digest] = model.batch_difference
            log.info("model.depends_on_batch", digest=digest, difference=model.batch_difference)
        return model, measure_costs(model, self._clock.monotonic)

    def _host(self, model: LoadedModel, costs: Costs) -> Batcher:
        settings = self._config.settings
        return Batcher(
            model,
            costs,
            rows_max=shared_rows(
                model.batch_difference, settings.batch_difference_max, settings.batch_rows_max
            ),
            loop=self._loop,
            now=self._clock.monotonic,
            finish=self._invoker.finish,
            suspects=self._suspects,
            flight=self._flight,
            new_flight=self._new_flight,
            on_stuck=self._give_up,
        )

    def _finish(self, exchange: Exchange, answer: Answer) -> None:
        """Take what came of a forwarded request; whoever forwards was made before the invoker."""
        self._invoker.finish(exchange, answer)

    def _new_flight(self) -> Flight:
        return Flight(self._config.settings.layout.flights, f"inference-{self._config.index}")

    def _give_up(self) -> None:
        """Make room for a worker without a call that never ends."""
        log.error("worker.stuck", index=self._config.index)
        self.stop()

    def _count_refused(self, status: int) -> None:
        self._slot.series(metrics.HTTP_REFUSED, str(status)).add()

    def _count_cut(self, reason: str) -> None:
        self._slot.series(metrics.CONNECTIONS_CUT, reason).add()

    def _show_ready(self) -> bytes:
        if self.server.draining:
            return plain_error(503, "the worker is stopping")
        if not self.serving.started:
            return plain_error(503, "the worker is starting")
        return build(200, b"ok\n", "text/plain")

    def _write_numbers(self) -> None:
        self._set_gauges()
        self._slot.flush()

    def _show_metrics(self) -> bytes:
        """Return the numbers of all workers; a thousand endpoints' take a fifth of a second."""
        totals = read_totals(self._config.settings.layout.metrics)
        return build(200, prometheus.render(totals, __version__), prometheus.CONTENT_TYPE)


def _limit_memory(bytes_max: int) -> None:
    """Let a call that asks for too much fail, instead of the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = bytes_max or machine_bytes() * 3 // 4
    resource.setrlimit(
        resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
    )


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

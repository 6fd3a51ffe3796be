"""The control plane, put together: services for the doors, and the loop behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from modelport.control import alarm_watch, autoscaler, log_watch, retention, sampler
from modelport.control.alarm_watch import AlarmWatch
from modelport.control.archives import Archives
from modelport.control.async_runner import AsyncRunner
from modelport.control.autoscaler import Autoscaler
from modelport.control.buckets import Buckets, FarBuckets
from modelport.control.canary import Canaries
from modelport.control.endpoint_reconciler import EndpointReconciler
from modelport.control.engine import Engine
from modelport.control.feed import Feed
from modelport.control.hosting import HostedModels
from modelport.control.job_reconciler import JobReconciler
from modelport.control.log_watch import LogWatch
from modelport.control.loop import Loop, Periodic
from modelport.control.ownership import Ownership
from modelport.control.replicas import Replicas
from modelport.control.retention import Retention
from modelport.control.routes import RouteFiles
from modelport.control.sampler import Sampler
from modelport.control.services import registry, stored
from modelport.control.services.alarms import Alarms
from modelport.control.services.endpoints import Endpoints
from modelport.control.services.events import Events
from modelport.control.services.experiments import Experiments
from modelport.control.services.inference_components import InferenceComponents
from modelport.control.services.invocations import Invocations
from modelport.control.services.jobs import Jobs
from modelport.control.services.labels import Labels
from modelport.control.services.logs import Logs
from modelport.control.services.metrics import MetricStore
from modelport.control.services.model_cards import ModelCards
from modelport.control.services.objects import ObjectStore
from modelport.control.services.registry import Registry
from modelport.control.services.replica_logs import ReplicaLogs
from modelport.control.services.reset import Reset
from modelport.control.services.run_metrics import RunMetrics
from modelport.control.services.scaling import Scaling
from modelport.control.services.status import Status
from modelport.control.services.tags import Tags
from modelport.control.tallies import tally
from modelport.control.worker_client import WorkerClient
from modelport.domain.clock import Clock
from modelport.settings import Settings
from modelport.stores.buckets.external import ExternalBuckets
from modelport.stores.records.records import Records, sqlite_url
from modelport.telemetry.slots import read_totals

HANGING_S = 30.0


class Artifacts(registry.Artifacts, retention.Artifacts, stored.Artifacts, Protocol):
    """What the control plane needs of the artifact store."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors may call."""

    registry: Registry
    endpoints: Endpoints
    inference_components: InferenceComponents
    jobs: Jobs
    labels: Labels
    objects: ObjectStore
    metrics: MetricStore
    alarms: Alarms
    experiments: Experiments
    model_cards: ModelCards
    run_metrics: RunMetrics
    tags: Tags
    reset: Reset
    replica_logs: ReplicaLogs
    invocations: Invocations
    scaling: Scaling
    logs: Logs
    events: Events
    status: Status


class ControlPlane:
    """Accepts wishes and makes them true.

    Args:
        settings: The home and every limit.
        artifacts: The artifact store.
        engine: Where jobs and first loads run.
        clock: Time.
        workers_expected: How many inference workers there should be.
        replicas_changed: Tells the supervisor that other replicas of custom code should run.

    Raises:
        InvalidInput: The database URL cannot be used.
        Conflict: Another control process works on the database, or a newer release wrote it.
        Unavailable: The database does not answer.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        artifacts: Artifacts,
        engine: Engine,
        clock: Clock,
        workers_expected: int,
        replicas_changed: Callable[[], None] = lambda: None,
    ) -> None:
        layout = settings.layout
        wake = threading.Event()
        self.records = Records(settings.database_url or sqlite_url(layout.database), clock)
        files = RouteFiles(layout.routes)
        self._feed = Feed(layout.feed_socket, files.active().revision, wake.set)
        store = ObjectStore(self.records, artifacts)
        self._far = None
        if settings.s3_endpoint_url:
            self._far = FarBuckets(
                ExternalBuckets(settings.s3_endpoint_url, artifacts), clock.monotonic, wake.set
            )
        buckets: Buckets = self._far or store
        ownership = Ownership(self.records, clock, str(layout.home))
        canaries = Canaries(engine, layout.marks, wake.set)
        archives = Archives(self.records, buckets, engine, settings.image_table, wake.set)
        hosting = HostedModels(
            self._feed,
            buckets,
            archives,
            canaries,
            ownership,
            clock=clock,
            replicas_max=settings.asked_replicas_max,
            idle_s=settings.serverless_idle_s,
        )
        self._endpoints = EndpointReconciler(
            self.records,
            ownership,
            files,
            self._feed,
            canaries,
            archives,
            Replicas(settings, clock, replicas_changed),
            hosting,
            clock=clock,
            workers_expected=workers_expected,
            prepare_timeout_s=2 * settings.canary_timeout_s,
            wait_scale=settings.deployment_wait_scale,
            read_tallies=lambda: tally(read_totals(layout.metrics)),
        )
        jobs = JobReconciler(
            self.records,
            ownership,
            engine,
            folder=layout.jobs,
            captures=layout.captures,
            clock=clock,
            wake=wake.set,
        )
        sweeping = Retention(
            self.records,
            artifacts,
            files,
            layout,
            label_age_days=settings.capture_max_age_days,
            clock=clock,
        )
        counting = Sampler(self.records, layout.metrics, read_totals, clock)
        judging = AlarmWatch(self.records, clock)
        self._worker_client = WorkerClient(layout.inference_socket)
        self._async_runner = AsyncRunner(
            self.records,
            buckets,
            artifacts.path,
            self._worker_client,
            lambda: self._endpoints.active,
            clock=clock,
            body_bytes_max=settings.body_bytes_max,
            wake=wake.set,
        )
        wishes = Endpoints(self.records, wake.set)
        components = InferenceComponents(self.records, wake.set)
        scaling = Autoscaler(
            self.records, wishes, components, clock, wait_scale=settings.deployment_wait_scale
        )
        logs = Logs(self.records, layout, clock)
        noting = LogWatch(self.records, logs, layout)
        self.loop = Loop(
            (
                self._endpoints,
                self._async_runner,
                jobs,
                Periodic(sweeping.sweep, retention.PERIOD_S, clock, first_s=retention.FIRST_S),
                Periodic(counting.look, sampler.PERIOD_S, clock),
                Periodic(judging.look, alarm_watch.PERIOD_S, clock),
                Periodic(scaling.look, autoscaler.PERIOD_S, clock),
                Periodic(noting.look, log_watch.PERIOD_S, clock),
            ),
            clock=clock,
            wake=wake,
        )
        self.services = Services(
            registry=Registry(self.records, artifacts),
            endpoints=wishes,
            inference_components=components,
            jobs=Jobs(self.records, folder=layout.jobs, captures=layout.captures, wake=wake.set),
            labels=Labels(self.records, folder=layout.labels, captures=layout.captures, clock=clock),
            objects=store,
            metrics=MetricStore(self.records),
            alarms=Alarms(self.records),
            experiments=Experiments(self.records),
            model_cards=ModelCards(self.records),
            run_metrics=RunMetrics(self.records),
            tags=Tags(self.records),
            reset=Reset(self.records, layout, wake.set),
            replica_logs=ReplicaLogs(self.records, layout.logs),
            invocations=Invocations(
                self.records,
                artifacts,
                buckets,
                lambda: self._endpoints.active,
                pending_max=settings.async_requests_max,
                wake=wake.set,
            ),
            scaling=Scaling(self.records),
            logs=logs,
            events=Events(self.records),
            status=Status(
                self.records,
                layout,
                workers=self._feed.workers,
                workers_expected=workers_expected,
                routes=lambda: self._endpoints.active,
            ),
        )

    def start(self) -> None:
        """Listen to the workers and begin to make wishes true.

        Raises:
            OSError: The feed's socket cannot be made.
        """
        self._feed.start()
        self.loop.start()

    def not_ready(self) -> str | None:
        """Return why wishes do not come true now, None when they do."""
        idle_s = self.loop.idle_s()
        return None if idle_s < HANGING_S else f"the control loop has not finished a pass for {idle_s:.0f} s"

    def close(self) -> None:
        """Stop. Workers go on serving, jobs go on working."""
        self.loop.close()
        self._async_runner.close()
        self._worker_client.close()
        if self._far is not None:
            self._far.close()
        self._feed.close()
        self.records.close()

"""The control port's application over real services, in one process, without processes of the platform."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from fakes.bundles import truthful_bundle
from fakes.callers import callers
from modelport.access.principals import Callers
from modelport.api.app import build_app
from modelport.api.platform import Platform
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
from modelport.domain.clock import SystemClock
from modelport.domain.resource import Kind
from modelport.domain.routes import RouteTable
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.records.records import Records, sqlite_url
from modelport.wire.manifest import Manifest, encode_manifest


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve an app on a free port from a thread, and yield a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http="httptools", lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


class Doors:
    """An app, what it stands on, and a client of it.

    Args:
        home: A fresh folder.
        settings: Over the defaults.
    """

    def __init__(self, home: Path, **settings: object) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(home=home, **settings)
        layout, clock = self.settings.layout, SystemClock()
        self.records = Records(sqlite_url(layout.database), clock)
        self.artifacts = LocalArtifacts(layout.artifacts)
        self.not_ready: str | None = None
        self.routes = RouteTable(0)

        def wake() -> None:
            pass

        self.platform = Platform(
            settings=self.settings,
            registry=Registry(self.records, self.artifacts),
            endpoints=Endpoints(self.records, wake),
            inference_components=InferenceComponents(self.records, wake),
            jobs=Jobs(self.records, folder=layout.jobs, captures=layout.captures, wake=wake),
            labels=Labels(self.records, folder=layout.labels, captures=layout.captures, clock=clock),
            objects=ObjectStore(self.records, self.artifacts),
            metrics_over_time=MetricStore(self.records),
            alarms=Alarms(self.records),
            experiments=Experiments(self.records),
            model_cards=ModelCards(self.records),
            run_metrics=RunMetrics(self.records),
            tags=Tags(self.records),
            reset=Reset(self.records, layout, wake),
            replica_logs=ReplicaLogs(self.records, layout.logs),
            invocations=Invocations(
                self.records,
                self.artifacts,
                ObjectStore(self.records, self.artifacts),
                lambda: self.routes,
                pending_max=self.settings.async_requests_max,
                wake=wake,
            ),
            logs=Logs(self.records, layout, clock),
            scaling=Scaling(self.records),
            events=Events(self.records),
            status=Status(self.records, layout, workers=list, workers_expected=1, routes=lambda: self.routes),
            artifacts=self.artifacts,
            callers=Callers(clock),
            not_ready=lambda: self.not_ready,
            metrics=lambda: b"modelport_build_info 1\n",
        )
        self.app = build_app(self.platform)
        self._serving = serving(self.app)
        self.client = self._serving.__enter__()

    @contextmanager
    def with_tokens(
        self, *lines: tuple[str, str, str], keys: Iterable[tuple[str, str, str, str]] = ()
    ) -> Iterator[httpx.Client]:
        """Serve the same platform with tokens, (name, scopes, token) each, and AWS keys."""
        platform = replace(self.platform, callers=callers(self.settings.home, lines, keys))
        with serving(build_app(platform)) as client:
            yield client

    def register(self, name: str = "truth", number: int = 1) -> str:
        """Store a small bundle and register it; return `NAME:VERSION`."""
        files = {file: self.artifacts.put([content]) for file, content in truthful_bundle(number).items()}
        digest = self.artifacts.put([encode_manifest(Manifest(files))])
        return self.platform.registry.register_version(name, digest, principal="test").name

    def settle(self, endpoint: str) -> None:
        """Let an endpoint's newest wish have come true."""
        with self.records.transaction() as tx:
            found = tx.get(Kind.ENDPOINT, endpoint)
            tx.put(replace(found, observed_generation=found.generation))

    def close(self) -> None:
        """Stop serving and close the database."""
        self._serving.__exit__(None, None, None)
        self.records.close()

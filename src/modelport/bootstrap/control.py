"""The control process: the control plane, and the doors in front of it."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import uvicorn

from modelport import __version__
from modelport.api.app import build_app
from modelport.api.platform import Platform
from modelport.bootstrap.engine import local_engine
from modelport.bootstrap.home import saved_settings
from modelport.bootstrap.supervised import announce_ready, open_callers, tether
from modelport.control.plane import ControlPlane
from modelport.domain.clock import Clock, SystemClock
from modelport.settings import HomeLayout, Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.supervisor.upgrading import GUESTS_SIGNAL
from modelport.telemetry.logs import configure_logs
from modelport.telemetry.prometheus import render
from modelport.telemetry.slots import read_totals


def run(home: Path, fd: int) -> int:
    """Answer and reconcile until asked to stop.

    Args:
        home: The platform's.
        fd: An inherited listening socket.
    """
    tether()
    # uvicorn raises the signal that stopped it once more when it is done; what follows is ours.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    settings, clock = saved_settings(home), SystemClock()
    configure_logs(settings.log_level, process="control")
    artifacts = LocalArtifacts(settings.layout.artifacts)
    plane = ControlPlane(
        settings,
        artifacts=artifacts,
        engine=local_engine(settings),
        clock=clock,
        workers_expected=settings.worker_count,
        replicas_changed=lambda: _tell_supervisor(settings.layout),
    )
    plane.start()
    try:
        with socket.socket(fileno=fd) as listener:
            _Server(_door(settings, _platform(settings, plane, artifacts, clock))).run([listener])
    finally:
        plane.close()
    return 0


def _tell_supervisor(layout: HomeLayout) -> None:
    """Let it read the list of replicas again; whoever else started this process would die of the signal."""
    with suppress(OSError, ValueError, KeyError):
        if json.loads(layout.processes_file.read_bytes())["pid"] == os.getppid():
            os.kill(os.getppid(), GUESTS_SIGNAL)


def _platform(settings: Settings, plane: ControlPlane, artifacts: LocalArtifacts, clock: Clock) -> Platform:
    services = plane.services
    return Platform(
        settings=settings,
        registry=services.registry,
        endpoints=services.endpoints,
        inference_components=services.inference_components,
        jobs=services.jobs,
        labels=services.labels,
        objects=services.objects,
        metrics_over_time=services.metrics,
        alarms=services.alarms,
        experiments=services.experiments,
        model_cards=services.model_cards,
        run_metrics=services.run_metrics,
        tags=services.tags,
        reset=services.reset,
        replica_logs=services.replica_logs,
        invocations=services.invocations,
        scaling=services.scaling,
        logs=services.logs,
        events=services.events,
        status=services.status,
        artifacts=artifacts,
        callers=open_callers(settings, clock),
        not_ready=plane.not_ready,
        metrics=lambda: render(read_totals(settings.layout.metrics), __version__),
    )


def _door(settings: Settings, platform: Platform) -> uvicorn.Config:
    return uvicorn.Config(
        build_app(platform),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(settings.idle_timeout_s),
        timeout_graceful_shutdown=int(settings.drain_timeout_s),
    )


class _Server(uvicorn.Server):
    """Says when it accepts connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        announce_ready()

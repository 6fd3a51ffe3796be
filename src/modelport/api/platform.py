"""What the doors stand on; put together by `bootstrap`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from modelport.access.principals import Callers
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
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts


@dataclass(frozen=True, slots=True)
class Platform:
    """One control process, as its doors see it.

    Args:
        settings: Limits, allowed hosts, where the home lies.
        registry: Model versions.
        endpoints: Models, configs, endpoints.
        inference_components: What serves within variants.
        jobs: Batch and monitoring jobs.
        labels: Labels that come in.
        objects: The object store that S3 clients see.
        metrics_over_time: Series of samples.
        alarms: Alarms over them.
        experiments: Experiments, trials and trial components.
        model_cards: Model cards and their versions.
        run_metrics: What trial components told of themselves.
        tags: Tags of all resources.
        reset: Forgets everything.
        replica_logs: What replicas of custom code printed.
        invocations: Takes asynchronous requests in.
        scaling: Numbers of instances that follow a metric.
        logs: That and what jobs wrote, by lines with times.
        events: History.
        status: The platform as it is now.
        artifacts: Bytes by digest.
        callers: Who may ask.
        not_ready: Returns why the platform cannot do its work yet, None when it can.
        metrics: Returns all processes' metrics as Prometheus text.
    """

    settings: Settings
    registry: Registry
    endpoints: Endpoints
    inference_components: InferenceComponents
    jobs: Jobs
    labels: Labels
    objects: ObjectStore
    metrics_over_time: MetricStore
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
    artifacts: LocalArtifacts
    callers: Callers
    not_ready: Callable[[], str | None]
    metrics: Callable[[], bytes]


def platform_of(request: Request) -> Platform:
    """Return the platform that an app was built for."""
    platform: Platform = request.app.state.platform
    return platform


Here = Annotated[Platform, Depends(platform_of)]
"""A route's way to the platform."""

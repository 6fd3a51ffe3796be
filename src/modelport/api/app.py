"""The control port's application: gate, routes, errors, put together and checked."""

from __future__ import annotations

from fastapi import FastAPI

from modelport import __version__
from modelport.access.hosts import parse_allowed
from modelport.api import operation
from modelport.api.aws.autoscaling import AUTOSCALING
from modelport.api.aws.cloudwatch import CLOUDWATCH
from modelport.api.aws.door import AwsDoor
from modelport.api.aws.logs import LOGS
from modelport.api.aws.runtime import Runtime
from modelport.api.aws.s3.app import S3
from modelport.api.aws.sagemaker.metrics import SAGEMAKER_METRICS
from modelport.api.aws.sagemaker.service import SAGEMAKER
from modelport.api.callers import check_scopes
from modelport.api.gate import Gate
from modelport.api.platform import Platform
from modelport.api.rest import artifacts, endpoints, history, jobs, registry
from modelport.api.rest.problems import explain_errors
from modelport.api.rest.schemas import describe_api

FORWARD_SLACK_S = 5.0  # a worker's own deadline comes first


def build_app(platform: Platform) -> FastAPI:
    """Return the ASGI application of the control port.

    Args:
        platform: What the doors stand on.

    Raises:
        RuntimeError: A route declares no scope; the process must not start.
    """
    app = FastAPI(title="modelport", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.platform = platform
    for door in (registry, endpoints, jobs, artifacts, history, operation):
        app.router.routes.extend(door.router.routes)  # each route itself, where `check_scopes` sees it
    explain_errors(app)
    describe_api(app)
    check_scopes(app)
    allowed = parse_allowed(platform.settings.allowed_hosts, bound=platform.settings.host)
    runtime = Runtime(
        platform.settings.layout.inference_socket,
        timeout_s=platform.settings.request_timeout_s + FORWARD_SLACK_S,
    )
    app.add_middleware(
        AwsDoor,
        platform=platform,
        services={service.name: service for service in (SAGEMAKER, CLOUDWATCH, LOGS, AUTOSCALING)},
        metrics=SAGEMAKER_METRICS,
        runtime=runtime,
        s3=S3(platform.objects, platform.settings, platform.callers),
    )
    app.add_middleware(Gate, allowed=allowed)  # the last one added is the first one asked
    return app

"""The functions of `import modelport as mp`: those of a `Client`, on the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelport.sdk.client import Client
from modelport.sdk.default import current
from modelport.sdk.endpoints import Endpoint
from modelport.sdk.versions import ModelGroup, ModelVersion

if TYPE_CHECKING:
    from modelport.sdk.jobs import Job


def connect(url: str | None = None, *, token: str | None = None, timeout_s: float = 60.0) -> Client:
    """Return a client of another platform.

    Args:
        url: Its control URL; None: `MODELPORT_URL`, else `http://127.0.0.1:8090`.
        token: Bearer token; None: `MODELPORT_TOKEN`, else none is sent.
        timeout_s: Seconds the server may be silent.
    """
    return Client(url, token=token, timeout_s=timeout_s)


def deploy(
    version: str | ModelVersion,
    endpoint: str,
    *,
    traffic: str | float | None = None,
    shadow: bool = False,
    capture: str | float | None = None,
    timeout_s: float | None = 120.0,
) -> Endpoint:
    """Serve a version under an endpoint's name and wait until it is InService; see `Client.deploy`."""
    return current().deploy(
        version, endpoint, traffic=traffic, shadow=shadow, capture=capture, timeout_s=timeout_s
    )


def endpoint(name: str) -> Endpoint:
    """Return an endpoint; NotFound when there is none."""
    return current().endpoint(name)


def endpoints() -> list[Endpoint]:
    """Return the endpoints."""
    return current().endpoints()


def models() -> list[ModelGroup]:
    """Return the registered models."""
    return current().models()


def version(reference: str) -> ModelVersion:
    """Return one version: `name:3`, `name@champion`, or `name` for the newest."""
    return current().version(reference)


def job(name: str) -> Job:
    """Return a job; NotFound when there is none."""
    return current().job(name)


def events(
    *, kind: str | None = None, name: str | None = None, after: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Return what happened, oldest first; see `Client.events`."""
    return current().events(kind=kind, name=name, after=after, limit=limit)


def status() -> dict[str, Any]:
    """Return the platform's version, URLs, processes, workers, and what is not settled."""
    return current().status()

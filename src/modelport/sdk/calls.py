"""The functions of `import modelport as mp`: those of a `Client`, on the current one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from modelport.sdk.client import Client
from modelport.sdk.default import current

P = ParamSpec("P")
R = TypeVar("R")


def connect(url: str | None = None, *, token: str | None = None, timeout_s: float = 60.0) -> Client:
    """Return a client of another platform.

    Args:
        url: Its control URL; None: `MODELPORT_URL`, else `http://127.0.0.1:8090`.
        token: Bearer token; None: `MODELPORT_TOKEN`, else none is sent.
        timeout_s: Seconds the server may be silent.
    """
    return Client(url, token=token, timeout_s=timeout_s)


def _on_current(method: Callable[Concatenate[Client, P], R]) -> Callable[P, R]:
    """Return a client's method as a function that asks for the current client each time."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(current(), *args, **kwargs)

    without_self = list(inspect.signature(method).parameters.values())[1:]
    call.__signature__ = inspect.signature(method).replace(parameters=without_self)  # type: ignore[attr-defined]
    return call


register = _on_current(Client.register)
version = _on_current(Client.version)
models = _on_current(Client.models)
deploy = _on_current(Client.deploy)
endpoint = _on_current(Client.endpoint)
endpoints = _on_current(Client.endpoints)
batch = _on_current(Client.batch)
monitor = _on_current(Client.monitor)
job = _on_current(Client.job)
events = _on_current(Client.events)
status = _on_current(Client.status)

"""Which platform the module's functions speak to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from modelport.sdk.client import TOKEN_VARIABLE, URL_VARIABLE, Client

_chosen: ContextVar[Client | None] = ContextVar("modelport_client", default=None)
_by_environment: dict[tuple[str | None, str | None], Client] = {}


def current() -> Client:
    """Return the client of the innermost `using` block, else the one that the environment names."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    key = (os.environ.get(URL_VARIABLE), os.environ.get(TOKEN_VARIABLE))
    if key not in _by_environment:
        _by_environment[key] = Client()
    return _by_environment[key]


@contextmanager
def using(client: Client) -> Iterator[Client]:
    """Make the module's functions speak to `client` inside the block."""
    token = _chosen.set(client)
    try:
        yield client
    finally:
        _chosen.reset(token)

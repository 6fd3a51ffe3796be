"""One inference worker in a thread of this process, on a home of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop

from fakes.bundles import store_bundle
from modelport.dataplane.config import WorkerConfig
from modelport.dataplane.worker import Worker
from modelport.domain.clock import SystemClock
from modelport.domain.routes import CaptureRoute, EndpointRoute, RouteTable, VariantRoute
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire import sockets
from modelport.wire.feed import active_file, encode_routes, route_file

START_TIMEOUT_S = 20.0


class WorkerInThread:
    """A worker whose tables the test writes itself.

    Args:
        home: An empty home.
        config: Parts of the worker's configuration besides its settings.
        settings: Settings that differ from the defaults.
    """

    def __init__(self, home: Path, config: dict[str, Any] | None = None, **settings: Any) -> None:
        self.settings = replace(Settings(home=home), **settings)
        self.layout = self.settings.layout
        for folder in (self.layout.routes, self.layout.marks, self.layout.metrics, self.layout.captures):
            folder.mkdir(parents=True, exist_ok=True)
        self.store = LocalArtifacts(self.layout.artifacts)
        self.config = WorkerConfig(self.settings, **(config or {}))
        self.worker: Worker
        self.port = 0
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the inference URL."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, files: dict[str, bytes], *, batch_difference: float = 0.0) -> str:
        """Store a model; return its digest."""
        return store_bundle(self.store, files, batch_difference=batch_difference)

    def publish(self, revision: int, *endpoints: EndpointRoute, active: bool = True) -> None:
        """Write a route table as control does."""
        content = encode_routes(RouteTable(revision, endpoints))
        route_file(self.layout.routes, revision).write_bytes(content)
        if active:
            active_file(self.layout.routes).write_text(str(revision))

    def prepare(self, revision: int) -> tuple[str, str] | None:
        """Let the worker prepare a revision; return what is at fault."""
        return self.call(self.worker.serving.prepare(revision, lambda *_: None))

    def activate(self, revision: int) -> None:
        """Let the worker activate a revision."""
        self.call(self.worker.serving.activate(revision, lambda *_: None))

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine on the worker's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_TIMEOUT_S)

    def on_loop(self, function: Any) -> Any:
        """Call a function on the worker's loop."""

        async def run() -> Any:
            return function()

        return self.call(run())

    def stop(self) -> None:
        """Drain and end."""
        if self._thread.is_alive():
            # A worker that was told to stop before may close its loop at any moment.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.worker.stop)
            self._thread.join(START_TIMEOUT_S)
            assert not self._thread.is_alive()

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10.0)

    def connect_local(self) -> socket.socket:
        """Return a connection through the Unix socket."""
        connection = sockets.connect(self.layout.inference_socket)
        connection.settimeout(10.0)
        return connection

    def ask(
        self,
        endpoint: str,
        body: Any,
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
        path: str | None = None,
    ) -> Answer:
        """Ask once, on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10.0)
        try:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            client.request(
                method,
                path or f"/endpoints/{endpoint}/invocations",
                content,
                {"Content-Type": "application/json", **(headers or {})},
            )
            reply = client.getresponse()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            client.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Get a page."""
        return self.ask("", b"", headers, method="GET", path=path)

    def _run(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            sockets.listen(self.layout.inference_socket) as local,
        ):
            self.port = listener.getsockname()[1]
            try:
                uvloop.run(self._serve(listener, local))
            except BaseException as error:  # noqa: BLE001 - shown by the thread that waits
                self._failure = error
            finally:
                self._ready.set()

    async def _serve(self, *listeners: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self.worker = Worker(self.config, SystemClock())
        await self.worker.run(listeners, self._ready.set)


class Answer:
    """A reply, read."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)


def endpoint(
    name: str, *variants: tuple[str, str, str, float], shadow: tuple[str, ...] = (), capture: float = 0.0
) -> EndpointRoute:
    """Return an endpoint of `(variant, version, digest, weight)`."""
    return EndpointRoute(
        name,
        tuple(
            VariantRoute(variant, version, digest, weight, shadow=variant in shadow)
            for variant, version, digest, weight in variants
        ),
        CaptureRoute(capture) if capture else None,
    )

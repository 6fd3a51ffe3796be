"""The platform's processes without their supervisor: each started, armed to crash, started again."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from fakes.platform import START_TIMEOUT_S, Platform, wait_for
from modelport.bootstrap.home import make_folders, save_settings
from modelport.bootstrap.supervisor import Held, process_table
from modelport.domain.clock import SystemClock
from modelport.domain.routes import RouteTable
from modelport.durable import CRASH_POINT_VARIABLE
from modelport.settings import Settings
from modelport.supervisor.child import Child
from modelport.supervisor.inboxes import Inboxes
from modelport.supervisor.listeners import bind_listener, bind_local, listener_url
from modelport.supervisor.lock import HomeLock
from modelport.wire.feed import active_file, encode_routes, route_file

OLD_REVISIONS = 30
ANSWER_S = 5.0
CRASHED = "killed by SIGKILL"
CONTROL = "control"
WORKER = "inference-0"


class Stage(Platform):
    """A platform of one worker and one control process that the test starts and ends itself.

    Args:
        home: An empty home.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home, workers=1)
        # Of a control process that has died the port still takes connections: they are not waited for long.
        self._http = httpx.Client(timeout=ANSWER_S, trust_env=False)
        settings = Settings(home=home, port=0, inference_port=0, workers=1, drain_timeout_s=2.0)
        make_folders(settings.layout)
        save_settings(settings)
        for revision in range(1, OLD_REVISIONS + 1):  # a home with a past: there is something to tidy up
            route_file(self.layout.routes, revision).write_bytes(encode_routes(RouteTable(revision)))
        active_file(self.layout.routes).write_text(str(OLD_REVISIONS))
        ports = [bind_listener("127.0.0.1", 0, setting="--port") for _ in range(2)]
        self._listeners = [*ports, bind_local(settings.layout.inference_socket)]
        self.control_url, self.inference_url = (listener_url(listener) for listener in ports)
        self._inboxes = Inboxes.make(1, self.layout.run)
        self._lock = HomeLock(settings.layout.lock, SystemClock())
        held = Held(self._lock, *self._listeners, self._inboxes)
        self._specs = {spec.name: spec for spec in process_table(settings, held)}
        self._running: dict[str, Child] = {}
        self.layout.endpoint_file.write_text(
            json.dumps(
                {"control_url": self.control_url, "inference_url": self.inference_url, "pid": os.getpid()}
            )
        )

    def __enter__(self) -> Self:
        self.start(WORKER)
        self.start(CONTROL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.end(name)
        self.stop()
        for listener in self._listeners:
            listener.close()
        self._inboxes.close()
        self._lock.release()

    def start(self, name: str, *, crash_at: str | None = None, wait: bool = True) -> None:
        """Start a process, armed or not; wait until it is ready, or has died of its arms."""
        spec = self._specs[name]
        env = {**spec.env, **({CRASH_POINT_VARIABLE: crash_at} if crash_at else {})}
        child = Child.start(replace(spec, env=env))
        self._running[name] = child
        if wait:
            wait_for(lambda: child.said_ready() or child.ended(), START_TIMEOUT_S, what=f"{name} ready")
            assert not child.ended() or (crash_at and child.ended() == CRASHED), self.logs()

    def end(self, name: str) -> None:
        """Kill a process."""
        child = self._running.pop(name, None)
        if child is not None:
            child.send(signal.SIGKILL)
            wait_for(child.ended, what=f"the end of {name}")
            child.close()

    def restart(self, name: str, *, crash_at: str | None = None) -> None:
        """End a process, and start it armed or not."""
        self.end(name)
        self.start(name, crash_at=crash_at)

    def died(self, name: str) -> bool:
        """Return whether a process was killed by its crash point."""
        child = self._running.get(name)
        how = child.ended() if child is not None else None
        assert how in (None, CRASHED), f"{name} ended by itself ({how}): {self.logs()}"
        return how == CRASHED

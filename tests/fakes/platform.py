"""A real platform on a home of its own: started, harmed and always stopped, by pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from fakes.bundles import store_bundle
from modelport.engines.identity import identify
from modelport.settings import HomeLayout

Found = TypeVar("Found")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class NotReached(AssertionError):
    """A wait ended before its goal."""


def wait_for(goal: Callable[[], Found | None], timeout_s: float = 10.0, *, what: str = "the goal") -> Found:
    """Return the first true answer of `goal`.

    Raises:
        NotReached: There was none in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = goal()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise NotReached(f"{what} was not reached within {timeout_s:g} s")
        time.sleep(0.02)


class Platform:
    """One home, and the platform on it.

    Args:
        home: An empty or used home.
        workers: Inference workers.
        environment: Variables on top of this process's own.
    """

    def __init__(self, home: Path, *, workers: int = 2, environment: dict[str, str] | None = None) -> None:
        self.layout = HomeLayout(home)
        self.workers = workers
        self.environment = environment or {}
        self.process: subprocess.Popen[str] | None = None
        self.control_url = ""
        self.inference_url = ""
        self._http: httpx.Client | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def launch(self, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a supervisor without waiting for it; a second one gets the ports of the first."""
        home, workers = str(self.layout.home), str(self.workers)
        ports = [str(urlsplit(url).port or 0) for url in (self.control_url, self.inference_url)]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "modelport.bootstrap", "supervisor", "--output", "json"),
                *("--home", home, "--port", ports[0], "--inference-port", ports[1], "--workers", workers),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "MODELPORT_DRAIN_TIMEOUT_S": "5", **self.environment, **(environment or {})},
        )
        return self.process

    def up(self, environment: dict[str, str] | None = None) -> Self:
        """Start the platform and wait until it is ready."""
        process = self.launch(environment)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            _, complained = process.communicate(timeout=START_TIMEOUT_S)
            raise AssertionError(f"the platform did not start: {complained}\n{self.logs()}")
        urls = json.loads(line)
        assert urls["pid"] == process.pid
        self.control_url, self.inference_url = urls["control_url"], urls["inference_url"]
        return self

    def down(self) -> int:
        """Stop the platform politely; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._collect()

    def kill(self) -> None:
        """Kill the supervisor and wait until nothing it started listens any more."""
        assert self.process is not None
        pids = [line["pid"] for line in self.document()["processes"] if line["pid"]]
        self.process.kill()
        self._collect()
        wait_for(lambda: not any(identify(pid) for pid in pids), what="the end of the supervisor's children")

    def stop(self) -> None:
        """End the platform and every job of its home, however they are."""
        if self._http is not None:
            self._http.close()
            self._http = None
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)  # nothing happens when it has ended
            try:
                self._collect()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self._collect()
        for folder in self.layout.jobs.glob("*"):
            self.kill_job(folder.name)

    def _collect(self) -> int:
        assert self.process is not None
        self.process.communicate(timeout=STOP_TIMEOUT_S)
        return self.process.returncode

    def document(self) -> dict[str, Any]:
        """Return what the supervisor tells: its table, and the last upgrade."""
        try:
            document: dict[str, Any] = json.loads(self.layout.processes_file.read_text())
        except FileNotFoundError:
            return {"processes": []}
        return document

    def table(self) -> dict[str, dict[str, Any]]:
        """Return the supervisor's table by name."""
        return {line["name"]: line for line in self.document()["processes"] if not line["beside"]}

    def pids(self) -> dict[str, int]:
        """Return the process ids by name, once all are ready."""
        return {name: self.pid(name) for name in self.table()}

    def pid(self, name: str) -> int:
        """Return the pid of a process of the table once it is ready."""

        def running() -> int | None:
            line = self.table().get(name, {})
            return line["pid"] if line.get("state") == "running" else None

        return wait_for(running, START_TIMEOUT_S, what=f"{name} running")

    def kill_process(self, name: str) -> float:
        """Kill -9 a process of the table; return the seconds until its replacement is ready."""
        return self._replace(name, signal.SIGKILL)

    def end_process(self, name: str) -> float:
        """Ask a process of the table to end; return the seconds until its replacement is ready."""
        return self._replace(name, signal.SIGTERM)

    def _replace(self, name: str, number: signal.Signals) -> float:
        pid = self.pid(name)
        started = time.monotonic()
        os.kill(pid, number)
        wait_for(
            lambda: self.table()[name]["pid"] != pid and self.table()[name]["state"] == "running",
            START_TIMEOUT_S,
            what=f"a new {name}",
        )
        return time.monotonic() - started

    def job_pid(self, name: str) -> int | None:
        """Return the pid of a job's process; None when it does not run."""
        try:
            known = json.loads((self.layout.jobs / name / "process.json").read_text())
        except FileNotFoundError:
            return None
        found = identify(known["pid"])
        return found.pid if found is not None and found.started == known["started"] else None

    def kill_job(self, name: str) -> bool:
        """Kill -9 a job's whole group; return whether there was one."""
        pid = self.job_pid(name)
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)
        return pid is not None

    def ask(self, method: str, path: str, document: Any = None, **options: Any) -> Any:
        """Send a JSON document to control's REST; return the answer's.

        Raises:
            AssertionError: The status is not a 2xx.
        """
        if self._http is None:
            self._http = httpx.Client(timeout=30.0, trust_env=False)
        response = self._http.request(method, f"{self.control_url}/api/v1{path}", json=document, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def put(self, chunks: list[bytes]) -> str:
        """Upload an artifact; return its digest."""
        if self._http is None:
            self._http = httpx.Client(timeout=30.0, trust_env=False)
        response = self._http.post(f"{self.control_url}/api/v1/artifacts", content=b"".join(chunks))
        assert response.is_success, f"{response.status_code} {response.text}"
        return str(response.json()["digest"])

    def register(self, group: str, files: dict[str, bytes]) -> str:
        """Upload a bundle and register it; return `group:version`."""
        digest = store_bundle(self, files)
        return str(self.ask("POST", f"/model-package-groups/{group}/versions", {"digest": digest})["name"])

    def deploy(self, reference: str, endpoint: str, **options: Any) -> dict[str, Any]:
        """Wish a version onto an endpoint; return the endpoint once it has settled."""
        self.ask("POST", f"/endpoints/{endpoint}/deployments", {"model_package": reference, **options})
        return self.settled(endpoint)

    def settled(self, endpoint: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Return an endpoint once its status speaks of its newest wish and nothing is under way."""

        def done() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("GET", f"/endpoints/{endpoint}")
            moving = found["status"]["endpoint_status"] in ("Creating", "Updating", "RollingBack", "Deleting")
            return None if moving or found["observed_generation"] < found["generation"] else found

        return wait_for(done, timeout_s, what=f"endpoint {endpoint} settled")

    def invoke(self, endpoint: str, rows: list[list[float]], **headers: str) -> httpx.Response:
        """Ask an endpoint for predictions."""
        return httpx.post(
            f"{self.inference_url}/endpoints/{endpoint}/invocations",
            json={"instances": rows},
            headers=headers,
            timeout=30.0,
            trust_env=False,
        )

    def logs(self) -> str:
        """Return the end of every process's log, for a failing test."""
        return "\n".join(
            f"--- {path.name}\n" + path.read_text(errors="replace")[-2000:]
            for path in sorted(self.layout.logs.glob("*.log"))
        )

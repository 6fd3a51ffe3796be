"""Real worker processes on one inherited socket: kills, crashes, stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fakes.bundles import crashing_bundle, hanging_bundle, store_bundle, truthful_bundle
from fakes.serving import endpoint
from fakes.truthful import TruthfulLoad
from modelport.bootstrap.home import make_folders, save_settings
from modelport.dataplane.loading import HANGING_S
from modelport.domain.routes import RouteTable
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.telemetry import metrics
from modelport.telemetry.slots import read_totals
from modelport.wire import sockets
from modelport.wire.feed import active_file, encode_routes, route_file

pytestmark = pytest.mark.processes


class Home:
    """A home whose last table is on disk, and the socket its workers share."""

    def __init__(self, folder, listener):
        self.settings = Settings(home=folder, drain_timeout_s=5.0)
        self.layout = self.settings.layout
        make_folders(self.layout)
        save_settings(self.settings)
        self.store = LocalArtifacts(self.layout.artifacts)
        self.listener = listener
        self.local = sockets.listen(self.layout.inference_socket)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def publish(self, revision, *endpoints):
        route_file(self.layout.routes, revision).write_bytes(encode_routes(RouteTable(revision, endpoints)))
        active_file(self.layout.routes).write_text(str(revision))

    @contextmanager
    def worker(self, index=0, descriptors=None):
        process = subprocess.Popen(
            [
                *(("sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors)) if descriptors else ()),
                *(sys.executable, "-m", "modelport.bootstrap", "inference", "--home", str(self.layout.home)),
                *("--index", str(index), "--fd", str(self.listener.fileno()), str(self.local.fileno())),
            ],
            pass_fds=[self.listener.fileno(), self.local.fileno()],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def ask(self, name, rows, timeout=10.0):
        request = urllib.request.Request(
            f"{self.url}/endpoints/{name}/invocations",
            json.dumps(rows).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def requests(self):
        totals = read_totals(self.layout.metrics)
        return sum(values[0] for (name, _), values in totals.items() if name == metrics.REQUESTS)


@pytest.fixture
def home(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        made = Home(tmp_path / "home", listener)
        with made.local:
            yield made


def test_a_killed_worker_loses_no_connection_that_waits_and_no_count(home):
    digest = store_bundle(home.store, truthful_bundle(1))
    home.publish(1, endpoint("e", ("v1", "m:1", digest, 1.0)))
    with ExitStack() as stack:
        first, _second = (stack.enter_context(home.worker(index)) for index in (0, 1))
        assert home.ask("e", [[0, 0]])[0] == 200
        load = stack.enter_context(TruthfulLoad(home.url, "e", connections=8, fresh=4))
        _wait(lambda: home.requests() > 500)
        before = home.requests()
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        stack.enter_context(home.worker(0))
        _wait(lambda: home.requests() > before + 500)
        report = load.stop()
        assert report.failed.total() <= 8  # those in flight on it
        assert report.misrouted == []
        assert home.requests() >= before


def test_sigterm_drains_and_ends_well(home):
    digest = store_bundle(home.store, truthful_bundle(1))
    home.publish(1, endpoint("e", ("v1", "m:1", digest, 1.0)))
    with home.worker() as process:
        assert home.ask("e", [[0, 0]])[0] == 200
        with socket.create_connection(home.listener.getsockname()) as idle:
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=10)
            assert idle.recv(10) == b""
        assert process.returncode == 0
        assert time.monotonic() - began < 3
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[-1] == "worker.stopped"
    assert home.requests() == 1


def test_a_model_that_kills_its_worker_is_not_loaded_again(home):
    good = store_bundle(home.store, truthful_bundle(1))
    deadly = store_bundle(home.store, crashing_bundle())
    home.publish(1, endpoint("e", ("v1", "m:1", good, 1.0)), endpoint("deadly", ("v1", "d:1", deadly, 1.0)))
    with home.worker() as process:
        assert process.wait(20) == -signal.SIGSEGV
    assert [path.name for path in home.layout.marks.iterdir()] == [f"0-{deadly}"]
    with home.worker() as process:
        assert home.ask("e", [[1, 2]]) == (200, {"predictions": [1003.0]})
        status, reply = home.ask("deadly", [[1, 2]])
        assert status == 503
        assert "crashed" in reply["Message"]
        assert process.poll() is None


@pytest.mark.parametrize("point", ["mark.written", "mark.removed"])
def test_a_worker_killed_while_it_loads_serves_when_it_is_back(home, point):
    digest = store_bundle(home.store, truthful_bundle(1))
    home.publish(1, endpoint("e", ("v1", "m:1", digest, 1.0)))
    os.environ["MODELPORT_CRASH_POINT"] = point
    try:
        with home.worker() as process:
            assert process.wait(20) == -signal.SIGKILL
    finally:
        del os.environ["MODELPORT_CRASH_POINT"]
    with home.worker():
        _wait(lambda: home.ask("e", [[1, 2]]) == (200, {"predictions": [1003.0]}))
    assert list(home.layout.marks.iterdir()) == []


def _wait(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_unix_socket_outlives_its_workers(home):
    home.publish(1, endpoint("e", ("v1", "m:1", store_bundle(home.store, truthful_bundle(1)), 1.0)))

    def answers():
        with sockets.connect(home.layout.inference_socket) as connection:
            connection.settimeout(10)
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(1000)

    with home.worker() as first:
        assert answers().startswith(b"HTTP/1.1 200 ")
        first.send_signal(signal.SIGTERM)
        assert first.wait(10) == 0
        with sockets.connect(home.layout.inference_socket) as waiting:  # nobody is there, and nothing is lost
            waiting.settimeout(10)
            waiting.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with home.worker():
                assert waiting.recv(1000).startswith(b"HTTP/1.1 200 ")
                assert answers().startswith(b"HTTP/1.1 200 ")


def test_a_worker_at_its_last_descriptor_neither_spins_nor_dies(home):
    home.publish(1, endpoint("e", ("v1", "m:1", store_bundle(home.store, truthful_bundle(1)), 1.0)))
    with home.worker(descriptors=160) as process, ExitStack() as stack:
        assert home.ask("e", [[1, 2]])[0] == 200
        crowd = [
            stack.enter_context(socket.create_connection(home.listener.getsockname())) for _ in range(400)
        ]
        said = Counter(_first_words(connection) for connection in crowd)
        assert said[b"HTTP/1.1 503"] >= 1
        assert said[b""] >= 150
        before = _processor_s(process.pid)
        time.sleep(0.5)
        assert _processor_s(process.pid) - before < 0.25
        assert process.poll() is None
        for connection in crowd:
            connection.close()
        _wait(lambda: home.ask("e", [[1, 2]]) == (200, {"predictions": [1003.0]}))


def _first_words(connection):
    connection.settimeout(0.05)
    try:
        return connection.recv(12)
    except TimeoutError:
        return b"waits"
    except ConnectionResetError:
        return b""


def _processor_s(pid):
    return (
        sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    )


def test_a_worker_raises_its_limit_as_far_as_its_connections_need():
    found = subprocess.run(
        ["sh", "-c", 'ulimit -Sn 100 && ulimit -Hn 2000 && exec "$@"', "sh", sys.executable, "-c", RAISING],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert found == ["500", "756", "1744", "2000"]


RAISING = """
import resource, sys
import structlog
from modelport.dataplane.descriptors import make_room
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
for wanted in (500, 10_000):
    print(make_room(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_a_model_that_hangs_while_it_loads_keeps_no_stop_waiting(home):
    digest = store_bundle(home.store, hanging_bundle())
    home.publish(1, endpoint("e", ("v1", "m:1", digest, 1.0)))
    with home.worker() as process:
        _wait(lambda: list(home.layout.marks.iterdir()))
        time.sleep(HANGING_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert list(home.layout.marks.iterdir())  # the next start tries it elsewhere first

"""Ten thousand connections on one worker: memory of each, and what the hundredth that is busy notices.

.venv/bin/python bench/connections.py [--connections 10000] [--drippers 1000]

One worker with a tiny model. wrk asks over 1 % of the connections, first alone, then among the others, each
of which has asked once and stays. While the others connect, one client asks on and on: its slowest answer
tells what a burst of accepts costs. At last clients join that send a byte of a head each half second: when
are they cut, and what does the traffic notice? Needs `wrk`, and descriptors for all (`ulimit -Hn`).
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.bundles import store_bundle, truthful_bundle
from modelport.bootstrap.home import make_folders, save_settings
from modelport.domain.routes import EndpointRoute, RouteTable, VariantRoute
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire.feed import active_file, encode_routes, route_file

BODY = b'{"instances":[[1,2]]}'
REQUEST = (
    b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
SETTLE_S = 2.0
DRIP_S = 0.5


def write_home(home: Path, connections: int) -> None:
    """Make a home whose last activated table serves a tiny model."""
    settings = replace(Settings(home=home), connections_max=connections + 1000)
    make_folders(settings.layout)
    save_settings(settings)
    digest = store_bundle(LocalArtifacts(settings.layout.artifacts), truthful_bundle(1))
    route = EndpointRoute("e", (VariantRoute("v1", "m:1", digest),))
    route_file(settings.layout.routes, 1).write_bytes(encode_routes(RouteTable(1, (route,))))
    active_file(settings.layout.routes).write_text("1")


def ask(connection: socket.socket) -> float:
    """Ask once; return the seconds it took."""
    began = time.perf_counter()
    connection.sendall(REQUEST)
    reply = connection.recv(4096)
    if not reply.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"refused: {reply[:200]!r}")
    return time.perf_counter() - began


def resident(pid: int) -> int:
    """Return a process's resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def drive(pid: int, port: int, busy: int, name: str, seconds: int) -> None:
    """Let wrk ask; print what it saw, and the worker's processor time for each request."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f'wrk.method = "POST"\nwrk.body = [==[{BODY.decode()}]==]\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{busy}", f"-d{seconds}s", "--latency", "-s", script.name]
        used = processor_seconds(pid)
        url = f"http://127.0.0.1:{port}/endpoints/e/invocations"
        text = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
        used = processor_seconds(pid) - used
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(text)
    count = int(re.search(r"(\d+) requests in", text)[1])
    half, most = (re.search(rf"^ +{part}% +(\S+)$", text, re.MULTILINE)[1] for part in (50, 99))
    print(
        f"{busy} busy {name:20} {count / seconds:8,.0f} requests/s, {used / count * 1e6:5.1f} us each, "
        f"p50 {half}, p99 {most}"
    )


class Asker(threading.Thread):
    """Asks on and on, over one connection, and keeps how long each answer took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._connection = socket.create_connection(("127.0.0.1", port))
        self.going = True
        self.seconds: list[float] = []

    def run(self) -> None:
        """Ask until told to stop."""
        while self.going:
            self.seconds.append(ask(self._connection))
            time.sleep(0.001)


class Drippers(threading.Thread):
    """Clients that send a byte of a head each half second, until they are cut."""

    def __init__(self, port: int, count: int) -> None:
        super().__init__(daemon=True)
        self._open = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        self._began = time.perf_counter()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Drip."""
        for connection in self._open:
            connection.setblocking(False)
            connection.send(b"POST /")
        while self._open:
            time.sleep(DRIP_S)
            self._open = [connection for connection in self._open if self._drip(connection)]

    def _drip(self, connection: socket.socket) -> bool:
        try:
            connection.send(b"a")
            connection.recv(1000)
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        self.seconds.append(time.perf_counter() - self._began)
        connection.close()
        return False


@contextmanager
def serving(connections: int) -> Iterator[tuple[int, int]]:
    """Serve a tiny model; yield the worker's pid and port."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0), backlog=4096) as listener,
    ):
        home = Path(folder) / "home"
        home.mkdir()
        write_home(home, connections)
        command = [sys.executable, "-m", "modelport.bootstrap", "inference", "--home", str(home)]
        worker = subprocess.Popen(
            [*command, "--index", "0", "--fd", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            yield worker.pid, listener.getsockname()[1]
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(20)


def fill(pid: int, port: int, count: int) -> list[socket.socket]:
    """Open connections that ask once and stay; print what they cost and what a client beside them noticed."""
    asker = Asker(port)
    before = resident(pid)
    asker.start()
    began = time.perf_counter()
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    connected = time.perf_counter() - began
    asker.going = False
    asker.join()
    for connection in idle:
        ask(connection)
    time.sleep(SETTLE_S)
    each = (resident(pid) - before) / count
    used = processor_seconds(pid)
    time.sleep(SETTLE_S)
    used = (processor_seconds(pid) - used) / SETTLE_S
    slowest = sorted(asker.seconds)
    print(f"{count} connections in {connected:.1f} s; resident memory of each {each / 1024:.1f} KiB")
    print(
        f"asked meanwhile {len(slowest)} times: p99 {slowest[int(len(slowest) * 0.99)] * 1e3:.1f} ms, "
        f"slowest {slowest[-1] * 1e3:.1f} ms"
    )
    print(f"processor time while all are idle: {used:.2%} of a core")
    return idle


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--drippers", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    busy = max(1, arguments.connections // 100)
    with serving(arguments.connections) as (pid, port):
        with socket.create_connection(("127.0.0.1", port)) as first:
            ask(first)  # it is up
        drive(pid, port, busy, "warming up", arguments.seconds)
        drive(pid, port, busy, "alone", arguments.seconds)
        idle = fill(pid, port, arguments.connections - busy)
        drive(pid, port, busy, f"among {len(idle)} idle", arguments.seconds)
        for connection in idle:
            ask(connection)  # all are still there
            connection.close()
        drive(pid, port, busy, "alone", arguments.seconds)
        drippers = Drippers(port, arguments.drippers)
        drippers.start()
        drive(pid, port, busy, f"among {arguments.drippers} drippers", arguments.seconds)
        drippers.join()
        print(f"the last dripper was cut after {max(drippers.seconds, default=0):.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Ten thousand connections on one worker: memory of each, and what the hundredth that is busy notices.

.venv/bin/python bench/connections.py [--connections 10000] [--seconds 3]

One worker with a tiny model. wrk asks over 1 % of the connections, first alone, then among the others, each
of which has asked once and stays. While the others connect, one client asks on and on: its slowest answer
tells what a burst of accepts costs. Needs `wrk`, and descriptors for all connections (`ulimit -Hn`).
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


def drive(url: str, script: Path, busy: int, seconds: int) -> tuple[float, str, str]:
    """Let wrk ask; return requests/s, p50 and p99 as it prints them."""
    command = ["wrk", "-t1", f"-c{busy}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    half, most = (re.search(rf"{part}%\s+(\S+)", text) for part in (50, 99))
    return float(rate[1]), half[1], most[1]


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    busy = max(1, arguments.connections // 100)
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0), backlog=4096) as listener,
    ):
        home, script = Path(folder) / "home", Path(folder) / "post.lua"
        home.mkdir()
        write_home(home, arguments.connections)
        script.write_text(
            f'wrk.method = "POST"\nwrk.body = [==[{BODY.decode()}]==]\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
        )
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}/endpoints/e/invocations"
        command = [sys.executable, "-m", "modelport.bootstrap", "inference", "--home", str(home)]
        worker = subprocess.Popen(
            [*command, "--index", "0", "--fd", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
        idle: list[socket.socket] = []
        try:
            asker = Asker(port)
            ask(asker._connection)  # noqa: SLF001 - it is up
            drive(url, script, busy, 1)
            alone = drive(url, script, busy, arguments.seconds)
            before = resident(worker.pid)
            asker.start()
            began = time.perf_counter()
            idle.extend(
                socket.create_connection(("127.0.0.1", port)) for _ in range(arguments.connections - busy)
            )
            connected = time.perf_counter() - began
            asker.going = False
            asker.join()
            for connection in idle:
                ask(connection)
            time.sleep(SETTLE_S)
            each = (resident(worker.pid) - before) / len(idle)
            used = processor_seconds(worker.pid)
            time.sleep(SETTLE_S)
            used = (processor_seconds(worker.pid) - used) / SETTLE_S
            among = drive(url, script, busy, arguments.seconds)
            for connection in idle:
                ask(connection)
        finally:
            for connection in idle:
                connection.close()
            worker.send_signal(signal.SIGTERM)
            worker.wait(20)
    slowest = sorted(asker.seconds)
    print(f"{len(idle)} connections in {connected:.1f} s; resident memory of each {each / 1024:.1f} KiB")
    print(
        f"asked meanwhile {len(slowest)} times: p99 {slowest[int(len(slowest) * 0.99)] * 1e3:.1f} ms, "
        f"slowest {slowest[-1] * 1e3:.1f} ms"
    )
    print(f"processor time while all are idle: {used:.2%} of a core")
    for name, (rate, half, most) in ((f"{busy} alone", alone), (f"{busy} among the idle", among)):
        print(f"{name:22} {rate:9,.0f} requests/s, p50 {half}, p99 {most}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A thousand endpoints on one worker whose memory holds about fifty of their models.

    .venv/bin/python bench/many_models.py [ENDPOINTS [DEPLOYS]]

First a worker alone, with its tables written straight: what it takes to start, what a request waits whose
model is on disk, what the requests for a busy endpoint notice of that, and what memory is taken; and the same
worker with room for all models, and what it gives back when they are undeployed. Then, when DEPLOYS is above
0 (default 100), a whole platform: that many models registered and deployed over REST, one after the other and
eight at a time.

One model in ten is of medium size: three layers, 2 MB. The generator is a Python process on the same machine;
with other work beside it the figures are upper bounds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from onnx import helper, numpy_helper

from fakes.bundles import _bundle, store_bundle, truthful_bundle
from fakes.platform import Platform
from fakes.serving import endpoint
from modelport.bootstrap.home import make_folders, save_settings
from modelport.domain.routes import RouteTable
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.telemetry import metrics
from modelport.telemetry.slots import read_totals
from modelport.wire.feed import (
    Activate,
    Activated,
    Prepare,
    Prepared,
    active_file,
    decode_from_worker,
    encode_routes,
    frame,
    route_file,
)
from modelport.wire.sockets import listen

BUDGET = 16 << 20
MEDIUM_EACH = 10
WIDTH = 256
HEADERS = {"Content-Type": "application/json"}
BODY = b'{"instances": [[1.0, 2.0]]}'
HOT_PAUSE_S = 0.001
QUIET_S = 5.0


def main(endpoints: int, deploys: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measure_worker(Path(folder) / "home", endpoints)
    if deploys:
        with tempfile.TemporaryDirectory() as folder, Platform(Path(folder) / "home", workers=1) as platform:
            measure_deploys(platform, deploys)


def medium_bundle(number: int) -> dict[str, bytes]:
    """Return a model of three layers, 2 MB."""
    rng = np.random.default_rng(number)
    shapes = ((2, WIDTH), (WIDTH, 3 * WIDTH), (3 * WIDTH, 1))
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.05, shape), f"w{layer}") for layer, shape in enumerate(shapes)
    ]
    nodes = [
        helper.make_node("MatMul", ["matrix", "w0"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w1"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "w2"], ["predictions"]),
    ]
    return _bundle(nodes, weights, 2)


class Home:
    """A home whose tables this program writes, and a worker on it."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.layout = Settings(home=folder).layout
        make_folders(self.layout)
        self.store = LocalArtifacts(self.layout.artifacts)
        self.listener = listener
        self.port = listener.getsockname()[1]
        self.pid = 0

    def publish(self, revision: int, routes: list) -> None:
        """Write a table as control does."""
        route_file(self.layout.routes, revision).write_bytes(
            encode_routes(RouteTable(revision, tuple(routes)))
        )
        active_file(self.layout.routes).write_text(str(revision))

    @contextmanager
    def worker(self, **settings):
        """Run a worker on this home."""
        save_settings(Settings(home=self.layout.home, workers=1, **settings))
        descriptor = self.listener.fileno()
        command = [sys.executable, "-m", "modelport.bootstrap", "inference", "--home", str(self.layout.home)]
        with subprocess.Popen(
            [*command, "--index", "0", "--fd", str(descriptor)],
            pass_fds=[descriptor],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            self.pid = process.pid
            try:
                yield
            finally:
                process.terminate()

    def rss(self) -> float:
        """Return the worker's resident megabytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_s(self) -> float:
        """Return the worker's processor seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def total(self, metric: str, *labels: str) -> int:
        """Return what the worker counted."""
        time.sleep(1.1)  # until it has written its numbers
        return read_totals(self.layout.metrics).get((metric, labels), [0])[0]


def ask(connection: http.client.HTTPConnection, name: str) -> float:
    """Ask once; return the seconds it took."""
    began = time.perf_counter()
    connection.request("POST", f"/endpoints/{name}/invocations", BODY, HEADERS)
    reply = connection.getresponse()
    content = reply.read()
    if reply.status != 200:
        raise SystemExit(f"{name}: {reply.status} {content!r}")
    return time.perf_counter() - began


class Hot:
    """Asks one endpoint all the time, a thousand times a second at most."""

    def __init__(self, port: int, name: str) -> None:
        self.taken: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, name), daemon=True)

    def _run(self, port: int, name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while not self._stop.wait(HOT_PAUSE_S):
            self.taken.append(ask(connection, name))
        connection.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def measure_worker(folder: Path, count: int) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        home = Home(folder, listener)
        names = [f"e{number:04}" for number in range(count)]
        routes = []
        for number, name in enumerate(names):
            bundle = medium_bundle(number) if number % MEDIUM_EACH == 9 else truthful_bundle(number)
            routes.append(endpoint(name, ("v1", f"m{number}:1", store_bundle(home.store, bundle), 1.0)))
        home.publish(1, routes[:1])
        with home.worker():
            ask_first(home, names[0])
            print(f"resident with one endpoint: {rest(home):.0f} MB")
        home.publish(1, routes)
        with home.worker(model_memory_bytes_max=BUDGET, start_load_s=0.5):
            print(f"room for about 50: exec to first 200 {ask_first(home, names[0]):.2f} s")
            print(f"resident at rest, {home.total(metrics.MODELS)} models: {rest(home):.0f} MB")
            measure_cold(home, names)
            held, taken = home.total(metrics.MODELS), home.total(metrics.MODEL_MEMORY)
            print(f"resident at rest after it, {held} models of {taken / 1e6:.1f} MB: {rest(home):.0f} MB")
        with home.worker(model_memory_bytes_max=64 << 30, start_load_s=600.0):
            print(f"room for all: exec to first 200 {ask_first(home, names[0]):.2f} s")
            held, taken = home.total(metrics.MODELS), home.total(metrics.MODEL_MEMORY)
            print(f"resident at rest, {held} models of {taken / 1e6:.1f} MB: {rest(home):.0f} MB")
            leave_one(home, routes[:1])
            print(f"resident after all but one were undeployed: {rest(home):.0f} MB")


def ask_first(home: Home, name: str) -> float:
    """Return the seconds until a worker that was just started answers."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", home.port, timeout=600)
    ask(connection, name)
    connection.close()
    return time.perf_counter() - began


def rest(home: Home) -> float:
    """Return the resident megabytes of a worker that has had nothing to do for a while."""
    time.sleep(3.0)
    return home.rss()


def measure_cold(home: Home, names: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", home.port, timeout=60)
    with Hot(home.port, names[0]) as alone:
        time.sleep(QUIET_S)
    show("busy endpoint, alone", alone.taken)
    order = names[1:]
    for turn in (1, 2):
        random.Random(turn).shuffle(order)
        before = home.total(metrics.COLD_REQUESTS, "loaded")
        cpu = home.cpu_s()
        highest = home.rss()
        with Hot(home.port, names[0]) as hot:
            taken = []
            for name in order:
                taken.append(ask(connection, name))
                highest = max(highest, home.rss())
        cold = home.total(metrics.COLD_REQUESTS, "loaded") - before
        spent = (home.cpu_s() - cpu) / len(order) * 1e3
        show(f"turn {turn}: {len(order)} others, one at a time, {cold} of them cold", taken)
        show(f"turn {turn}: busy endpoint meanwhile", hot.taken)
        print(f"turn {turn}: {spent:.1f} ms of CPU for each, resident at most {highest:.0f} MB")
    connection.close()
    before = home.total(metrics.COLD_REQUESTS, "loaded")
    random.Random(3).shuffle(order)
    began = time.perf_counter()

    def share(part: list[str]) -> list[float]:
        own = http.client.HTTPConnection("127.0.0.1", home.port, timeout=60)
        try:
            return [ask(own, name) for name in part]
        finally:
            own.close()

    with Hot(home.port, names[0]) as hot, ThreadPoolExecutor(16) as pool:
        taken = [each for part in pool.map(share, [order[n::16] for n in range(16)]) for each in part]
        seconds = time.perf_counter() - began
    cold = home.total(metrics.COLD_REQUESTS, "loaded") - before
    show(f"16 at a time: {len(order) / seconds:.0f} requests/s, {cold} cold", taken)
    show("16 at a time: busy endpoint meanwhile", hot.taken)
    print(f"resident after it: {home.rss():.0f} MB")


def leave_one(home: Home, routes: list) -> None:
    """Be control for a moment: another table."""
    with listen(home.layout.feed_socket) as listener:
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as heard:
            home.publish(2, routes)
            for message, answer in ((Prepare(2), Prepared), (Activate(2), Activated)):
                connection.sendall(frame(message))
                while True:
                    length = int.from_bytes(heard.read(4), "big")
                    if isinstance(decode_from_worker(heard.read(length)), answer):
                        break


def measure_deploys(platform: Platform, count: int) -> None:
    references = [platform.register(f"m{number}", truthful_bundle(number)) for number in range(2 * count)]
    taken = []
    for number, reference in enumerate(references[:count]):
        began = time.perf_counter()
        platform.deploy(reference, f"e{number}")
        taken.append(time.perf_counter() - began)
    print(
        f"deploys over REST, one after the other: median of the first ten {median(taken[:10]):.2f} s, "
        f"of the last ten of {count} {median(taken[-10:]):.2f} s"
    )
    began = time.perf_counter()
    parts = urllib.parse.urlsplit(platform.control_url)

    def deploy(number: int) -> None:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        path = f"/api/v1/endpoints/e{number}"
        wish = json.dumps({"model_package": references[number]})
        connection.request("POST", f"{path}/deployments", wish, HEADERS)
        connection.getresponse().read()
        while True:
            connection.request("GET", path)
            if json.load(connection.getresponse())["status"]["endpoint_status"] == "InService":
                connection.close()
                return
            time.sleep(0.05)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deploy, range(count, 2 * count)))
    seconds = time.perf_counter() - began
    print(f"deploys over REST, eight at a time: {count} in {seconds:.1f} s, {seconds / count:.2f} s each")


def show(what: str, seconds: list[float]) -> None:
    cuts = quantiles(seconds, n=100)
    print(
        f"{what}: n {len(seconds)}, p50 {median(seconds) * 1e3:.2f} ms, p99 {cuts[98] * 1e3:.2f} ms, "
        f"slowest {max(seconds) * 1e3:.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoints", type=int, nargs="?", default=1000)
    parser.add_argument("deploys", type=int, nargs="?", default=100)
    given = parser.parse_args()
    main(given.endpoints, given.deploys)

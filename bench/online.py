"""One inference worker beside uvicorn + FastAPI + scikit-learn: requests per second for JSON records.

.venv/bin/python bench/online.py [--rounds 5] [--seconds 2] [--connections 64] [--capture 0] [--pin]

The flights model of the quickstart (13 features, 3 of them text), one process each; rounds are paired,
medians are shown. Each request carries one of 256 rows. `--pin` binds the server to core 0 and wrk to core 1:
steadier on a quiet machine, worse on a busy one. Needs `wrk`. Goal: 100 times the requests.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.bundles import store_bundle
from modelport.bootstrap.home import make_folders, save_settings
from modelport.domain.routes import CaptureRoute, EndpointRoute, RouteTable, VariantRoute
from modelport.formats.converting import convert
from modelport.quickstart.flights import CATEGORIES, FEATURES, TARGET, load_flights
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire import manifest as bundle
from modelport.wire.feed import active_file, encode_routes, route_file
from modelport.wire.signature import encode_signature

ROWS = 256
GOAL = 100
START_TIMEOUT_S = 60.0
HERE = Path(__file__).parent


@dataclass
class Server:
    """A running server: its process, and where it answers."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    rates: list[float]
    cpu_us: list[float]


def train(rows):
    """Fit the quickstart's pipeline."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    pipeline = make_pipeline(
        make_column_transformer((encoder, list(CATEGORIES)), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=130, random_state=0),
    )
    return pipeline.fit(rows[list(FEATURES)], rows[TARGET])


def write_home(home: Path, pipeline, example, capture: float) -> None:
    """Make a home whose last activated table serves the converted pipeline."""
    settings = Settings(home=home)
    make_folders(settings.layout)
    save_settings(settings)
    conversion = convert(pipeline, example)
    digest = store_bundle(
        LocalArtifacts(settings.layout.artifacts),
        {
            bundle.SERVING_GRAPH: conversion.serving,
            bundle.SIGNATURE: encode_signature(conversion.signature),
        },
    )
    route = EndpointRoute(
        "flights",
        (VariantRoute("v1", "flights:1", digest),),
        CaptureRoute(capture) if capture else None,
    )
    route_file(settings.layout.routes, 1).write_bytes(encode_routes(RouteTable(1, (route,))))
    active_file(settings.layout.routes).write_text("1")


def write_script(path: Path, records: list[dict]) -> None:
    """Write what wrk sends: one of the records after the other."""
    bodies = ",\n".join(f"[[{json.dumps({'instances': [record]})}]]" for record in records)
    path.write_text(
        f"local bodies = {{\n{bodies}\n}}\nlocal made = {{}}\nlocal at = 0\n"
        'local headers = {["Content-Type"] = "application/json"}\n'
        "init = function(args)\n"
        '  for i, body in ipairs(bodies) do made[i] = wrk.format("POST", nil, headers, body) end\nend\n'
        "request = function()\n  at = at % #made + 1\n  return made[at]\nend\n"
    )


def pinned(core: int | None, command: list[str]) -> list[str]:
    """Return the command, bound to a core."""
    return command if core is None else ["taskset", "-c", str(core), *command]


@contextmanager
def running(name: str, command: list[str], url: str, core: int | None, **more):
    """Start a server, wait until it answers, end it."""
    process = subprocess.Popen(
        pinned(core, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more
    )
    try:
        yield Server(name, process, url, [], [])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(server: Server, records: list[dict]) -> dict:
    """Ask once; wait until the server is there."""
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        request = urllib.request.Request(
            server.url, json.dumps({"instances": records}).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as reply:
                return json.load(reply)
        except OSError:
            if time.monotonic() > end or server.process.poll() is not None:
                raise
            time.sleep(0.1)


def measure(server: Server, script: Path, connections: int, seconds: float, core: int | None) -> None:
    """Let wrk ask for a while; keep the rate and the processor time of each request."""
    before = processor_seconds(server.process.pid)
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--timeout",
        "20s",
        "-s",
        str(script),
        server.url,
    ]
    text = subprocess.run(pinned(core, command), check=True, capture_output=True, text=True).stdout
    used = processor_seconds(server.process.pid) - before
    if "Non-2xx" in text:
        raise SystemExit(f"{server.name}: {text}")
    count = int(re.search(r"(\d+) requests in", text)[1])
    server.rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]))
    server.cpu_us.append(used / count * 1e6)


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, in seconds; NaN where it is not told."""
    try:
        tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
    except OSError:
        return math.nan


def compare_answers(ours: dict, theirs: dict) -> None:
    """End with an error when the two servers do not say the same."""
    difference = np.abs(np.array(ours["probabilities"]) - np.array(theirs["probabilities"])).max()
    if ours["predictions"] != theirs["predictions"] or difference > 1e-12:
        raise SystemExit(f"the answers differ by {difference}")
    print(f"both answer {ROWS} rows alike (largest difference {difference:.1e})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--capture", type=float, default=0.0, help="percentage of our requests captured")
    parser.add_argument("--pin", action="store_true", help="server on core 0, wrk on core 1")
    arguments = parser.parse_args()
    server_core, wrk_core = (0, 1) if arguments.pin else (None, None)
    rows = load_flights((1, 2, 3))
    pipeline = train(rows)
    sample = rows[list(FEATURES)].sample(ROWS, random_state=0)
    records = json.loads(sample.to_json(orient="records"))
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        home, script, model = Path(folder) / "home", Path(folder) / "post.lua", Path(folder) / "m.joblib"
        home.mkdir()
        write_home(home, pipeline, rows[list(FEATURES)], arguments.capture)
        write_script(script, records)
        joblib.dump(pipeline, model)
        with socket.create_server(("127.0.0.1", 0)) as free:
            peer_port = free.getsockname()[1]
        us = [sys.executable, "-m", "modelport.bootstrap", "inference", "--home", str(home), "--index", "0"]
        peer = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE / "peers"), "fastapi_sklearn:app"]
        peer += ["--loop", "uvloop", "--http", "httptools", "--workers", "1", "--port", str(peer_port)]
        port = listener.getsockname()[1]
        with (
            running(
                "modelport",
                [*us, "--fd", str(listener.fileno())],
                f"http://127.0.0.1:{port}/endpoints/flights/invocations",
                server_core,
                pass_fds=[listener.fileno()],
            ) as ours,
            running(
                "FastAPI + scikit-learn",
                [*peer, "--no-access-log"],
                f"http://127.0.0.1:{peer_port}/predict",
                server_core,
                env={**os.environ, "MODEL": str(model), "OMP_NUM_THREADS": "1"},
            ) as theirs,
        ):
            compare_answers(ask(ours, records), ask(theirs, records))
            for _ in range(arguments.rounds):
                for server in (ours, theirs):
                    measure(server, script, arguments.connections, arguments.seconds, wrk_core)
    for server in (ours, theirs):
        print(
            f"{server.name:24} {statistics.median(server.rates):10,.0f} requests/s "
            f"{statistics.median(server.cpu_us):10,.1f} us of processor time each"
        )
    spared = statistics.median(b / a for a, b in zip(ours.cpu_us, theirs.cpu_us, strict=True))
    print(f"processor time each: {spared:.0f} times less")
    ratio = statistics.median(a / b for a, b in zip(ours.rates, theirs.rates, strict=True))
    print(f"ratio {ratio:.0f} (median of {arguments.rounds} paired rounds; goal {GOAL})")
    return 0 if ratio >= GOAL else 3


if __name__ == "__main__":
    sys.exit(main())

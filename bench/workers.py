"""What a second worker brings, and what a worker costs.

    .venv/bin/python bench/workers.py [--rounds 5] [--seconds 3] [--starts 10]

Two platforms run side by side, one with a worker and one with two, and are asked in turn: a network with
binary bodies of 256 rows, then the small model with one row in JSON over 64 connections. Then a worker is
ended again and again: its cold start is counted from the moment its process exists to its first 200. Needs
`wrk`.

Goals: 1.7 times the rows per second with two workers; 1.15 times the processor time of a request at most; no
worker with more than 60 % of the connections; a cold start in 0.8 s; 80 MiB for each worker.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from measuring.asking import v2_binary
from measuring.figures import Cell
from measuring.models import make_mlp, make_tiny
from measuring.platforms import pids_of, serving
from measuring.processes import processor_seconds, pss_bytes
from measuring.running import requests_of
from measuring.wrk import Told, drive, write_requests
from overload import requests_of as one_row_each

ROWS, MLP_CONNECTIONS, TINY_CONNECTIONS = 256, 8, 64
SCALE, PROCESSOR, CROWD, START_S, WORKER_MIB, GENERATOR = 1.7, 1.15, 0.6, 0.8, 80.0, 0.05
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--starts", type=int, default=10)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="mpb-") as name:
        folder = Path(name)
        mlp, tiny = make_mlp(folder / "mlp"), make_tiny(folder / "tiny")
        write_requests(
            folder / "mlp.requests",
            requests_of(
                v2_binary("/v2/models/mlp/infer"), mlp, Cell("binary256", "binary", ROWS, MLP_CONNECTIONS)
            ),
        )
        write_requests(folder / "tiny.requests", one_row_each(tiny))
        with (
            serving(folder / "one", [tiny, mlp], workers=1, core=None) as one,
            serving(folder / "two", [tiny, mlp], workers=2, core=None) as two,
        ):
            rates: dict[int, list[float]] = {1: [], 2: []}
            costs: dict[int, list[float]] = {1: [], 2: []}
            shares, generators = [], []
            for _ in range(chosen.rounds):
                for workers, platform in ((1, one), (2, two)):
                    told, busy = drive(
                        platform.inference_url,
                        folder / "mlp.requests",
                        connections=MLP_CONNECTIONS,
                        seconds=chosen.seconds,
                        core=None,
                    )
                    rates[workers].append(told.good_rate * ROWS)
                    generators.append(busy)
                    cost, share = ask_tiny(platform, folder / "tiny.requests", chosen.seconds)
                    costs[workers].append(cost)
                    if workers == 2:
                        shares.append(share)
        with serving(folder / "home", [tiny], workers=1, core=None) as platform:
            starts = [cold_start(platform, one_row_each(tiny)[0]) for _ in range(chosen.starts)]
            drive(
                platform.inference_url,
                folder / "tiny.requests",
                connections=TINY_CONNECTIONS,
                seconds=chosen.seconds,
                core=None,
            )
            memory = pss_bytes(platform.pid("inference-0")) / 2**20
    for workers in (1, 2):
        print(
            f"workers: {workers}  network {statistics.median(rates[workers]):10,.0f} rows/s"
            f"  small model {statistics.median(costs[workers]):6.1f} µs of processor time a request"
        )
    scale = statistics.median(b / a for a, b in zip(rates[1], rates[2], strict=True))
    more = statistics.median(b / a for a, b in zip(costs[1], costs[2], strict=True))
    start, generator = statistics.median(starts), statistics.median(generators)
    checks = {
        f"two workers do {scale:.2f} × the rows of one (goal {SCALE})": scale >= SCALE,
        f"the generator took {generator:.1%} of a core (goal {GENERATOR:.0%})": generator <= GENERATOR,
        f"a request takes {more:.2f} × the processor time (goal {PROCESSOR})": more <= PROCESSOR,
        f"one worker held at most {max(shares):.0%} of the connections (goal {CROWD:.0%})": max(shares)
        <= CROWD,
        f"cold start {start:.2f} s, slowest {max(starts):.2f} (goal {START_S})": start <= START_S,
        f"a worker takes {memory:.0f} MiB, shared pages in part (goal {WORKER_MIB:.0f})": memory
        <= WORKER_MIB,
    }
    for told, held in checks.items():
        print(f"{'held' if held else 'MISSED'}: {told}")
    return 0 if all(checks.values()) else 3


def ask_tiny(platform, requests: Path, seconds: float) -> tuple[float, float]:
    """Return (µs of processor time for each request, largest share of the connections in one worker)."""
    workers = [pid for name, pid in pids_of(platform).items() if name.startswith("inference")]
    everybody = list(pids_of(platform).values())
    before = sum(map(processor_seconds, everybody))
    idle = [sockets_of(pid) for pid in workers]
    found: list[Told] = []
    thread = threading.Thread(
        target=lambda: found.append(
            drive(platform.inference_url, requests, connections=TINY_CONNECTIONS, seconds=seconds, core=None)[
                0
            ]
        )
    )
    thread.start()
    time.sleep(0.7 * seconds)
    held = [sockets_of(pid) - rest for pid, rest in zip(workers, idle, strict=True)]
    thread.join()
    spent = sum(map(processor_seconds, everybody)) - before
    return spent / found[0].requests * 1e6, max(held) / sum(held)


def sockets_of(pid: int) -> int:
    """Return how many sockets a process holds."""
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            count += str(descriptor.readlink()).startswith("socket:")
    return count


def cold_start(platform, request: bytes) -> float:
    """End the only worker; return the seconds from the existence of the next one to its first 200."""
    old = platform.pid("inference-0")
    os.kill(old, signal.SIGTERM)
    body = request.split(b"\r\n\r\n", 1)[1]
    asked = urllib.request.Request(
        f"{platform.inference_url}/endpoints/tiny/invocations", body, {"Content-Type": "application/json"}
    )
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=10) as reply:
                answered, status = time.clock_gettime(time.CLOCK_BOOTTIME), reply.status
        except OSError:
            time.sleep(0.001)
            continue
        pid = platform.pid("inference-0")
        if status == 200 and pid != old:
            return answered - started_at(pid)


def started_at(pid: int) -> float:
    """Return when a process began, in seconds since the machine did."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / TICKS


if __name__ == "__main__":
    sys.exit(main())

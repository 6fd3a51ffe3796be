"""The load generator: `wrk`, sending one prepared request after the other, and what it says at the end.

Each request is a whole one, made beforehand and read into a Lua table; sending costs wrk one look into it.
wrk asks in a closed loop: a slow answer delays the next request, so its latencies under overload are too
kind. `bench/overload.py` has the generator that is not.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from measuring.processes import bound

REQUESTS_VARIABLE = "MODELPORT_BENCH_REQUESTS"
TIMEOUT_S = 30
SCRIPT = f"""
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local made, at = {{}}, 0
function init(args)
  local file = assert(io.open(os.getenv("{REQUESTS_VARIABLE}"), "rb"))
  while true do
    local line = file:read("*l")
    if not line then break end
    made[#made + 1] = file:read(tonumber(line))
  end
  file:close()
  at = (number * 997) % #made
end

function request()
  at = at + 1
  local one = made[at]
  if one then return one end
  at = 1
  return made[1]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "measured requests=%d microseconds=%d p50=%d p99=%d max=%d " ..
    "status=%d connect=%d read=%d write=%d timeout=%d\\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
"""
MEASURED = re.compile(r"^measured (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Told:
    """What wrk said of one run.

    Args:
        rate: Requests with any answer per second.
        good_rate: Those with a 2xx or 3xx.
        p50_us: Median latency, microseconds.
        p99_us: 99th percentile, microseconds.
        max_us: Longest, microseconds.
        refused: Answers that were neither 2xx nor 3xx.
        broken: Connections, reads or writes that failed, and requests that timed out.
        requests: Answers.
    """

    rate: float
    good_rate: float
    p50_us: float
    p99_us: float
    max_us: float
    refused: int
    broken: int
    requests: int


def read_output(text: str) -> Told:
    """Return what the last line of the script says.

    Args:
        text: wrk's standard output.

    Raises:
        ValueError: There is no such line.
    """
    match = MEASURED.search(text)
    if match is None:
        raise ValueError(f"wrk said nothing of its measurement: {text.strip()[-200:]!r}")
    said = {name: int(value) for name, value in (pair.split("=") for pair in match[1].split())}
    seconds = said["microseconds"] / 1e6
    return Told(
        rate=said["requests"] / seconds if seconds else 0.0,
        good_rate=(said["requests"] - said["status"]) / seconds if seconds else 0.0,
        p50_us=said["p50"],
        p99_us=said["p99"],
        max_us=said["max"],
        refused=said["status"],
        broken=said["connect"] + said["read"] + said["write"] + said["timeout"],
        requests=said["requests"],
    )


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """Write whole requests as the script reads them: a line with the length, then the bytes."""
    with path.open("wb") as file:
        for request in requests:
            file.write(b"%d\n" % len(request))
            file.write(request)


def drive(
    url: str, requests: Path, *, connections: int, seconds: float, threads: int = 1, core: int | None = None
) -> tuple[Told, float]:
    """Let wrk ask for a while.

    Args:
        url: Names host and port.
        requests: File of `write_requests`.
        connections: Kept open, each with one request under way.
        seconds: How long.
        threads: Of wrk.
        core: Core it is bound to; None leaves it free.

    Returns:
        What it said, and the share of one core it took.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        threads = min(threads, connections)
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += ["--timeout", f"{TIMEOUT_S}s", "-s", script.name, url]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            bound(core, command),
            env={**os.environ, REQUESTS_VARIABLE: str(requests)},
            check=True,
            capture_output=True,
            text=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = read_output(done.stdout)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lasted = told.requests / told.rate if told.rate else seconds
    return told, used / lasted

"""From exec of `modelport deploy` to the first 200 of a version that was never loaded before.

    .venv/bin/python bench/deploy.py [RUNS]

Two workers. The platform's part is what its own events say: from the wish to InService.
"""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.bundles import truthful_bundle
from fakes.platform import Platform

BODY = b'{"instances": [[1.0, 2.0]]}'


def main(runs: int) -> None:
    totals, parts = [], []
    with tempfile.TemporaryDirectory() as folder, Platform(Path(folder) / "home", workers=2) as platform:
        references = [platform.register("truthful", truthful_bundle(number)) for number in range(1, runs + 1)]
        for reference in references:
            total, part = measure(platform, reference)
            totals.append(total)
            parts.append(part)
    for name, values in (("exec to first 200", totals), ("wish to InService", parts)):
        print(
            f"{name}: median {statistics.median(values):.3f} s of {len(values)}, slowest {max(values):.3f} s"
        )


def measure(platform: Platform, reference: str) -> tuple[float, float]:
    """Return (seconds to the first 200 of this version, seconds of them in the platform)."""
    command = [sys.executable, "-m", "modelport.cli", "deploy", reference, "--endpoint", "bench"]
    environment = {**os.environ, "MODELPORT_URL": platform.control_url}
    started = time.monotonic()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while answers_with(platform.inference_url) != reference:
            if process.poll():
                raise SystemExit(f"deploy of {reference} exited {process.returncode}")
            time.sleep(0.005)
        total = time.monotonic() - started
    return total, wish_to_service(platform, platform.settled("bench"))


def wish_to_service(platform: Platform, endpoint: dict) -> float:
    """Return the seconds between the newest wish for the endpoint and its InService."""
    events = platform.ask("GET", "/events?kind=Endpoint&name=bench")["items"]
    wishes = [event for event in events if event["verb"] in ("create", "update", "deploy")]
    served = datetime.fromisoformat(endpoint["modelport"]["in_service_at"])
    return (served - datetime.fromisoformat(wishes[-1]["at"])).total_seconds()


def answers_with(url: str) -> str | None:
    """Return the version that answers a request now; None when none does."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    try:
        connection.request("POST", "/endpoints/bench/invocations", BODY, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.read()
    except OSError:
        return None
    finally:
        connection.close()
    return reply.getheader("X-Modelport-Model-Version") if reply.status == 200 else None


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

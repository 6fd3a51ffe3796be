"""A long run under load with deploys and undeploys: does anything grow?

    .venv/bin/python bench/soak.py [--minutes 10] [--workers 2]

A closed loop that checks every answer asks one endpoint, whose version is switched, while other endpoints are
made and deleted. Descriptors, threads and processes are counted at rest, after a warm-up and after the run:
then every difference is a leak. Memory is read every few seconds and its slope over requests taken.
Goals: no growth of descriptors, threads, processes; memory slope ≤ 1 MB for each 500,000 requests; nothing
failed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from measuring.platforms import pids_of
from measuring.processes import pss_bytes
from measuring.trends import slope

from fakes.bundles import truthful_bundle
from fakes.harm import CONNECTIONS, ENDPOINT, serve_truthfully
from fakes.platform import Platform, wait_for
from fakes.truthful import TruthfulLoad

VERSIONS = 8
SAMPLE_S = 2.0
REST_S = 2.0
WARM_CHANGES = 4
WARM_SHARE = 0.2  # of the run, before memory counts: caches fill, allocators settle
GOAL_BYTES, PER_REQUESTS = 1e6, 500_000


@dataclass(frozen=True)
class Held:
    """What a process holds at rest."""

    descriptors: int
    threads: int
    children: int


@dataclass
class Memory:
    """A process's memory over the requests answered so far."""

    requests: list[int] = field(default_factory=list)
    pss: list[int] = field(default_factory=list)


class Watch:
    """Reads the memory of the platform's processes, in a thread of its own.

    Args:
        platform: Watched.
        load: Its requests are the clock.
    """

    def __init__(self, platform: Platform, load: TruthfulLoad) -> None:
        self._platform = platform
        self._load = load
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.memory: dict[str, Memory] = {}

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for name, pid in pids_of(self._platform).items():
                read = self.memory.setdefault(name, Memory())
                read.requests.append(self._load.report.answered)
                read.pss.append(pss_bytes(pid))


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Platform(Path(folder) / "home", workers=chosen.workers) as one,
    ):
        references = serve_truthfully(one, versions=VERSIONS)
        changes = 0
        with TruthfulLoad(one.inference_url, ENDPOINT, connections=CONNECTIONS, fresh=CONNECTIONS // 2):
            for changes in range(WARM_CHANGES):
                change(one, references, changes)
        before = held(one)
        end = time.monotonic() + 60 * chosen.minutes
        with (
            TruthfulLoad(
                one.inference_url, ENDPOINT, connections=CONNECTIONS, fresh=CONNECTIONS // 2
            ) as load,
            Watch(one, load) as watch,
        ):
            while time.monotonic() < end:
                changes += 1
                change(one, references, changes)
        after = held(one)
    report = load.report
    print(
        f"{report.answered:,} requests in {report.seconds:.0f} s ({report.per_second:,.0f}/s), "
        f"{changes} rounds of deploy, make and delete; failed {report.failed.total()} {dict(report.failed)}, "
        f"misrouted {len(report.misrouted)}"
    )
    return judge(before, after, watch.memory, clean=not report.failed and not report.misrouted)


def held(platform: Platform) -> dict[str, Held]:
    """Return what each process holds once nothing is asked any more."""
    time.sleep(REST_S)
    found = {}
    for name, pid in pids_of(platform).items():
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        found[name] = Held(descriptors, threads, children_of(pid))
    return found


def change(platform: Platform, references: list[str], number: int) -> None:
    """Switch the endpoint under load, and make and delete another one."""
    platform.deploy(references[number % len(references)], ENDPOINT)
    name = f"passing-{number % 3}"
    platform.deploy(platform.register("passing", truthful_bundle(1 + number % 5)), name)
    assert platform.invoke(name, [[1.0, 2.0]]).status_code == 200
    platform.ask("DELETE", f"/endpoints/{name}")
    wait_for(lambda: not is_there(platform, name), 30.0, what=f"the end of {name}")


def is_there(platform: Platform, name: str) -> bool:
    """Return whether an endpoint is still listed."""
    return any(one["name"] == name for one in platform.ask("GET", "/endpoints")["items"])


def children_of(pid: int) -> int:
    """Return how many children a process has."""
    count = 0
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            count += len(task.read_text().split())
    return count


def judge(before: dict[str, Held], after: dict[str, Held], memory: dict[str, Memory], *, clean: bool) -> int:
    """Print what grew; return the exit code."""
    checks = {"nothing failed, nothing misrouted": clean}
    checks[f"the same processes: {', '.join(after)}"] = before.keys() == after.keys()
    for name in before.keys() & after.keys():
        for what in ("descriptors", "threads", "children"):
            first, last = getattr(before[name], what), getattr(after[name], what)
            checks[f"{name}: {what} {first} before, {last} after"] = last <= first
    for name, read in memory.items():
        warm = int(WARM_SHARE * len(read.pss))
        rise = slope(read.requests[warm:], read.pss[warm:]) * PER_REQUESTS
        told = f"{name}: memory {rise / 1e6:+.2f} MB for each {PER_REQUESTS:,} requests"
        checks[f"{told} ({read.pss[warm] / 1e6:.1f} to {read.pss[-1] / 1e6:.1f} MB)"] = rise <= GOAL_BYTES
    for told, kept in checks.items():
        print(f"{'held' if kept else 'MISSED'}: {told}")
    return 0 if all(checks.values()) else 3


if __name__ == "__main__":
    sys.exit(main())

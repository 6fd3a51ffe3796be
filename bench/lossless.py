"""Nothing lost: version switches, weight changes and worker restarts under load, then kill -9 of workers.

    .venv/bin/python bench/lossless.py [--requests 1000000] [--switches 200] [--kills 20] [--workers 2]

A closed loop of 16 connections, half of which are opened afresh for each request, checks every answer
against the version that the answer names. Goals: 0 failed and 0 misrouted over all planned changes; a kill
-9 costs no more than the requests the killed worker had in flight (at most one for each connection), and
misroutes none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.harm import CONNECTIONS, change_repeatedly, kill_repeatedly, serve_truthfully
from fakes.platform import Platform

VERSIONS = 41
IN_FLIGHT = {"lost: ConnectionResetError", "lost: closed without an answer", "lost: BrokenPipeError"}


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--requests", type=int, default=1_000_000)
    options.add_argument("--switches", type=int, default=200)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    kept = [change(chosen), kill(chosen)]
    return 0 if all(kept) else 3


def change(chosen: argparse.Namespace) -> bool:
    """Make planned changes; return whether nothing was lost."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Platform(Path(folder) / "home", workers=chosen.workers) as one,
    ):
        references = serve_truthfully(one, versions=VERSIONS)
        changes = change_repeatedly(one, references, chosen.switches, chosen.requests)
    load = changes.load
    print(
        f"{changes.switches} version switches, {changes.weights} weight changes, {changes.restarts} worker "
        f"restarts by SIGTERM in {load.seconds:.0f} s\n"
        f"  {load.answered:,} requests answered rightly, {load.per_second:,.0f}/s, "
        f"slowest {load.slowest_s * 1e3:.0f} ms\n"
        f"  failed {load.failed.total()} {dict(load.failed)}, misrouted {len(load.misrouted)} (goals: 0, 0)"
    )
    for told in load.misrouted[:3]:
        print(f"  {told}")
    return not load.failed and not load.misrouted


def kill(chosen: argparse.Namespace) -> bool:
    """Kill workers; return whether only what was in flight was lost."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Platform(Path(folder) / "home", workers=chosen.workers) as one,
    ):
        serve_truthfully(one)
        harm = kill_repeatedly(one, "inference-0", chosen.kills)
    load, most = harm.load, chosen.kills * CONNECTIONS
    print(
        f"{chosen.kills} kill -9 of a worker\n"
        f"  {load.answered:,} requests answered rightly, misrouted {len(load.misrouted)} (goal: 0)\n"
        f"  failed {load.failed.total()} {dict(load.failed)} (goal: at most {most}, all of them in flight)"
    )
    return not load.misrouted and load.failed.total() <= most and set(load.failed) <= IN_FLIGHT


if __name__ == "__main__":
    sys.exit(main())
